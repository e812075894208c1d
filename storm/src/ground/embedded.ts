import { AimedProxy, Cluster, FaultProxy } from '@holdfast/test/support'
import { Ground } from './ground.ts'

/** A temporary Postgres with TLS, for one stack. */
export async function embeddedGround(name: string): Promise<Ground> {
  const cluster = await Cluster.start()
  const aimed = await AimedProxy.start(cluster)
  const proxy = await FaultProxy.start(aimed)
  const application_name = `storm-${name}`
  return new Ground({
    proxy,
    cluster,
    aimed,
    service: proxy.config(cluster.config({ application_name })),
    schema: 'storm',
    direct: cluster.config({ application_name: 'storm-truth' }),
    async dispose() {
      await proxy[Symbol.asyncDispose]()
      await aimed[Symbol.asyncDispose]()
      await cluster[Symbol.asyncDispose]()
    },
  })
}
