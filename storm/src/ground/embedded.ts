import { Cluster, FaultProxy } from '@holdfast/test/support'
import { Ground } from './ground.ts'

/** A throw-away Postgres with TLS, all for one stack. */
export async function embeddedGround(name: string): Promise<Ground> {
  const cluster = await Cluster.start()
  const proxy = await FaultProxy.start(cluster)
  const application_name = `storm-${name}`
  return new Ground({
    proxy,
    cluster,
    service: proxy.config(cluster.config({ application_name })),
    schema: 'storm',
    direct: cluster.config({ application_name: 'storm-truth' }),
    async dispose() {
      await proxy[Symbol.asyncDispose]()
      await cluster[Symbol.asyncDispose]()
    },
  })
}
