import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from '@holdfast/core'
import { Cluster } from '@holdfast/test/support'
import pg, { type ClientConfig } from 'pg'
import type { Benchmark, Contest, Contestant } from '../contest.ts'
import { ITEMS, makeTables, STATEMENTS } from '../read/statements.ts'
import { LATENCY, THROUGHPUT, throughputOf } from '../run/throughput.ts'
import type { Caller } from '../run/turns.ts'

const MAX = 10
const CALLERS = 64
const PAUSE_MILLIS = 100
const MIGRATIONS = ['alter table item add column more int default 7', 'alter table item drop column more']
const TEXTS = ['select * from item where id = $1', STATEMENTS['a join of three tables']]

const POOLS = {
  holdfast: (config) => new Pool(config),
  'pg-pool': (config) => new pg.Pool(config),
} satisfies Partial<Record<Contestant['name'], (config: pg.PoolConfig) => pg.Pool>>

/** Whether statements fail when tables change under them. */
export const ddl: Benchmark = {
  name: 'ddl',
  about: `reads while a column is added and dropped every ${PAUSE_MILLIS} ms: an error of Holdfast ends the bench`,
  contestants: Object.keys(POOLS) as (keyof typeof POOLS)[],
  async stage(sliceMillis) {
    const cluster = await Cluster.start({ tls: false })
    try {
      await makeTables(cluster)
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
    return {
      contests: [contest(cluster, cluster.config(), sliceMillis)],
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    }
  },
}

function contest(cluster: Cluster, config: ClientConfig, sliceMillis: number): Contest {
  const contestants = (Object.keys(POOLS) as (keyof typeof POOLS)[]).map((name): Contestant => {
    return {
      name,
      async enter() {
        const pool = POOLS[name]({ ...config, max: MAX })
        const load = { caller: reading(pool, name), callers: CALLERS, sliceMillis, close: () => pool.end() }
        const entrant = throughputOf(load)
        return {
          measure: () => whileMigrating(cluster, () => entrant.measure()),
          [Symbol.asyncDispose]: () => entrant[Symbol.asyncDispose](),
        }
      },
    }
  })
  return { name: `${CALLERS} callers on ${MAX} connections`, metrics: [THROUGHPUT, LATENCY], contestants, goals: [] }
}

function reading(pool: pg.Pool, name: Contestant['name']): Caller {
  return async (turns) => {
    while (turns.next()) {
      const from = performance.now()
      const text = TEXTS[turns.count % TEXTS.length] as string
      const reads = pool.query(text, [turns.count % ITEMS])
      // pg.Pool prepares nothing. Where a change comes between Parse and Bind, it has an error all the same.
      await (name === 'holdfast' ? reads : reads.catch(() => {}))
      turns.took(performance.now() - from)
    }
  }
}

/** Changes a table again and again until `run` is done. */
async function whileMigrating<Result>(cluster: Cluster, run: () => Promise<Result>): Promise<Result> {
  let goesOn = true
  const migrating = cluster.withAdmin(async (admin) => {
    while (goesOn) {
      for (const migration of MIGRATIONS) {
        await admin.query(migration)
        await sleep(PAUSE_MILLIS)
      }
    }
  })
  try {
    return await run()
  } finally {
    goesOn = false
    await migrating
  }
}
