import { Cluster } from '@holdfast/test/support'
import type { Benchmark } from '../contest.ts'
import { DelayingProxy } from '../network/delaying-proxy.ts'
import { QUERYING, queryContest } from './queries.ts'

const DELAY_MILLIS = 1

/** What protection costs where most services are: behind TLS, and some distance away. */
export const queryTls: Benchmark = {
  name: 'query-tls',
  about: `the same over TLS, on a network that takes ${DELAY_MILLIS} ms each way`,
  contestants: QUERYING,
  async stage(sliceMillis) {
    const cluster = await Cluster.start()
    try {
      const proxy = await DelayingProxy.start({ target: address(cluster), delayMillis: DELAY_MILLIS })
      const config = cluster.config(proxy.address)
      return {
        contests: [queryContest({ config, sliceMillis, goals: { 'pg-pool': 1, 'pg-pool-select-1': 1.8 } })],
        async [Symbol.asyncDispose]() {
          await proxy[Symbol.asyncDispose]()
          await cluster[Symbol.asyncDispose]()
        },
      }
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  },
}

/** Only what another process can be told. */
function address({ host, port }: Cluster): { readonly host: string; readonly port: number } {
  return { host, port }
}
