import { Cluster } from '@holdfast/test/support'
import type { Benchmark } from '../contest.ts'
import { QUERYING, queryContest } from './queries.ts'

/** What the protection costs when a round trip is cheapest. */
export const query: Benchmark = {
  name: 'query',
  about: 'a small statement over a Unix socket',
  contestants: QUERYING,
  async stage(sliceMillis) {
    const cluster = await Cluster.start({ tls: false, unixSocket: true })
    const config = cluster.config({ host: cluster.socketDirectory })
    return {
      contests: [queryContest({ config, sliceMillis, goals: { 'pg-pool': 1.05, 'pg-pool-select-1': 1.6 } })],
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    }
  },
}
