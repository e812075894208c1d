import { Pool } from '@holdfast/core'
import pg, { type ClientConfig } from 'pg'
import type { Benchmark, Contest, Contestant, Goal } from '../contest.ts'
import type { ContestantName } from '../contestants.ts'
import { FarServer } from '../network/far-server.ts'
import { CPU_TIME, LATENCY, THROUGHPUT, throughputOf } from '../run/throughput.ts'
import type { Caller } from '../run/turns.ts'

// Few enough callers that they wait for the network and not for the machine, and as many connections, so that none waits for one.
const CALLERS = 4
const DELAY_MILLIS = 1
const GOALS: readonly Goal[] = [{ metric: THROUGHPUT.name, peer: 'pg-pool', atLeast: 0.97 }]

/** Every caller has an account of its own. Half of each page is free, so that an UPDATE has room for the new row. */
const ACCOUNTS = `create table account (id int primary key, balance bigint not null) with (fillfactor = 50);
  insert into account select id, 0 from generate_series(0, ${CALLERS - 1}) as id;
  grant all on account to public`

const POOLS = {
  holdfast: (config) => new Pool(config),
  'holdfast-report': (config) => new Pool({ ...config, lostCommit: 'report' }),
  'pg-pool': (config) => new pg.Pool(config),
} satisfies Partial<Record<ContestantName, (config: pg.PoolConfig) => pg.Pool>>

/** The statements between BEGIN and COMMIT. */
interface Work {
  readonly name: string
  readonly statement: string
}

const WORKS: readonly Work[] = [
  { name: 'UPDATE', statement: 'update account set balance = balance + 1 where id = $1' },
  { name: 'read-only', statement: 'select balance from account where id = $1' },
]

/** What it costs to be able to resolve a lost COMMIT. */
export const transactions: Benchmark = {
  name: 'transactions',
  about: `BEGIN, one statement, COMMIT over TLS, with ${DELAY_MILLIS} ms each way and without`,
  contestants: Object.keys(POOLS) as (keyof typeof POOLS)[],
  async stage(sliceMillis) {
    const server = await FarServer.start(DELAY_MILLIS, (cluster) => cluster.withAdmin((admin) => admin.query(ACCOUNTS)))
    const near = server.cluster.config()
    const far = server.cluster.config(server.proxy.address)
    return {
      contests: [
        ...WORKS.map((work) => contest(`${work.name}, ${DELAY_MILLIS} ms each way`, work, far, sliceMillis, GOALS)),
        ...WORKS.map((work) => contest(`${work.name}, no added latency`, work, near, sliceMillis, [])),
      ],
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  },
}

function contest(name: string, work: Work, config: ClientConfig, sliceMillis: number, goals: readonly Goal[]): Contest {
  const contestants = (Object.keys(POOLS) as (keyof typeof POOLS)[]).map((contestant): Contestant => {
    return {
      name: contestant,
      async enter() {
        const pool = POOLS[contestant]({ ...config, max: CALLERS })
        return throughputOf({
          caller: transacting(pool, work),
          callers: CALLERS,
          sliceMillis,
          close: () => pool.end(),
        })
      },
    }
  })
  return { name, metrics: [THROUGHPUT, LATENCY, CPU_TIME], contestants, goals }
}

/** Transactions by hand, so that the code is the same for all contestants. */
function transacting(pool: pg.Pool, { statement }: Work): Caller {
  let came = 0
  return async (turns) => {
    const account = came++ % CALLERS
    while (turns.next()) {
      const from = performance.now()
      const client = await pool.connect()
      await client.query('begin')
      await client.query(statement, [account])
      await client.query('commit')
      client.release()
      turns.took(performance.now() - from)
    }
  }
}
