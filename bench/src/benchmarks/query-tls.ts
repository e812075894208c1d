import type { Benchmark } from '../contest.ts'
import { FarServer } from '../network/far-server.ts'
import { QUERYING, queryContest } from './queries.ts'

const DELAY_MILLIS = 1

/** What the protection costs in a usual deployment: with TLS, and at some distance. */
export const queryTls: Benchmark = {
  name: 'query-tls',
  about: `the same over TLS, on a network that takes ${DELAY_MILLIS} ms each way`,
  contestants: QUERYING,
  async stage(sliceMillis) {
    const server = await FarServer.start(DELAY_MILLIS)
    const config = server.cluster.config(server.proxy.address)
    return {
      contests: [queryContest({ config, sliceMillis, goals: { 'pg-pool': 1, 'pg-pool-select-1': 1.8 } })],
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  },
}
