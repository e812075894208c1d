import { Pool } from '@holdfast/core'
import type { ClientConfig } from 'pg'
import type { Benchmark, Contest, Contestant, Goal } from '../contest.ts'
import { FarServer } from '../network/far-server.ts'
import { CPU_TIME, LATENCY, THROUGHPUT, throughputOf } from '../run/throughput.ts'
import type { Caller } from '../run/turns.ts'

// As in `transactions`: callers wait for the network, and not for the machine or for each other.
const CALLERS = 4
const DELAY_MILLIS = 1
/** Two round trips instead of one, and a twentieth for the rest. */
const GOALS: readonly Goal[] = [{ metric: LATENCY.name, peer: 'holdfast-plain', atLeast: 1 / 2.1 }]

const COUNTERS = `create table counter (id int primary key, count bigint not null) with (fillfactor = 50);
  insert into counter select id, 0 from generate_series(0, ${CALLERS - 1}) as id;
  grant all on counter to public`
const WRITE = 'update counter set count = count + 1 where id = $1'

/** What it costs that a single write is never in doubt. */
export const transactional: Benchmark = {
  name: 'transactional',
  about: `one write with \`transactional\`, and a plain one, over TLS, with ${DELAY_MILLIS} ms each way and without`,
  contestants: ['holdfast', 'holdfast-plain'],
  async stage(sliceMillis) {
    const server = await FarServer.start(DELAY_MILLIS, (cluster) => cluster.withAdmin((admin) => admin.query(COUNTERS)))
    const near = server.cluster.config()
    const far = server.cluster.config(server.proxy.address)
    return {
      contests: [
        contest(`${DELAY_MILLIS} ms each way`, far, sliceMillis, GOALS),
        contest('no added latency', near, sliceMillis, []),
      ],
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  },
}

function contest(name: string, config: ClientConfig, sliceMillis: number, goals: readonly Goal[]): Contest {
  const contestant = (who: Contestant['name'], isTransactional: boolean): Contestant => ({
    name: who,
    async enter() {
      const pool = new Pool({ ...config, max: CALLERS })
      const caller = writing(pool, isTransactional)
      return throughputOf({ caller, callers: CALLERS, sliceMillis, close: () => pool.end() })
    },
  })
  const contestants = [contestant('holdfast', true), contestant('holdfast-plain', false)]
  return { name, metrics: [THROUGHPUT, LATENCY, CPU_TIME], contestants, goals }
}

function writing(pool: Pool, isTransactional: boolean): Caller {
  let came = 0
  return async (turns) => {
    const id = came++ % CALLERS
    while (turns.next()) {
      const from = performance.now()
      await pool.query({ text: WRITE, values: [id], transactional: isTransactional })
      turns.took(performance.now() - from)
    }
  }
}
