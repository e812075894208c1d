import { Pool } from '@holdfast/core'
import { Cluster } from '@holdfast/test/support'
import pg, { type ClientConfig } from 'pg'
import type { Benchmark, Contest, Contestant, Entrant, Goal, Metric } from '../contest.ts'
import { Arrivals, type Pace } from '../mixed/arrivals.ts'
import { workOf } from '../mixed/work.ts'
import { ITEMS, makeTables, STATEMENTS } from '../read/statements.ts'
import { THROUGHPUT } from '../run/throughput.ts'
import { type Caller, slice } from '../run/turns.ts'

const MAX = 10
/** About two thirds of what `pg.Pool` can do. */
const PACES: readonly Pace[] = [
  { callers: 64, turnsPerSecond: 1000, groupOf: 1 },
  { callers: 500, turnsPerSecond: 1000, groupOf: 50 },
]
const SLOW_MILLIS = 500
/** A slice must be longer than the slowest statement, and have enough of the others for the last thousandth. */
const SLICES = 8
const LEAD_IN_MILLIS = 100

const WRITE = 'update item set price = price + 1 where id = $1'
const READ = STATEMENTS['one row of ten columns']

/** How long the short statements took, from the call to the result: at most so much for this share of them. */
const PERCENTILES: readonly (readonly [Metric, number])[] = [
  [{ name: 'p50', unit: 'ms', better: 'less' }, 0.5],
  [{ name: 'p99', unit: 'ms', better: 'less' }, 0.99],
  [{ name: 'p99.9', unit: 'ms', better: 'less' }, 0.999],
]
/** At most five percent worse. */
const GOALS: readonly Goal[] = [{ metric: 'p99', peer: 'pg-pool', atLeast: 0.95 }]

const POOLS = {
  holdfast: (config) => new Pool(config),
  'pg-pool': (config) => new pg.Pool(config),
} satisfies Partial<Record<Contestant['name'], (config: pg.PoolConfig) => pg.Pool>>

/** Whether what is fast suffers from what is slow. */
export const mixed: Benchmark = {
  name: 'mixed',
  about: `reads, 20 % writes, 10 % transactions, and 1 % that take ${SLOW_MILLIS} ms; how long the short ones take`,
  contestants: Object.keys(POOLS) as (keyof typeof POOLS)[],
  async stage(sliceMillis) {
    const cluster = await Cluster.start({ tls: false })
    try {
      await makeTables(cluster)
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
    const config = cluster.config()
    return {
      contests: PACES.map((pace) => contest(config, pace, sliceMillis * SLICES)),
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    }
  },
}

function contest(config: ClientConfig, pace: Pace, sliceMillis: number): Contest {
  const contestants = (Object.keys(POOLS) as (keyof typeof POOLS)[]).map((name): Contestant => {
    return { name, enter: async () => entrant(POOLS[name]({ ...config, max: MAX }), pace, sliceMillis) }
  })
  return {
    name: `${pace.callers} callers on ${MAX} connections${pace.groupOf > 1 ? `, ${pace.groupOf} at once` : ''}`,
    metrics: [THROUGHPUT, ...PERCENTILES.map(([metric]) => metric)],
    contestants,
    goals: GOALS,
  }
}

function entrant(pool: pg.Pool, pace: Pace, sliceMillis: number): Entrant {
  const caller = working(pool, pace)
  const { callers } = pace
  return {
    async measure() {
      await slice(caller, callers, LEAD_IN_MILLIS)
      const { turnsPerSecond, millisOf } = await slice(caller, callers, sliceMillis)
      const percentiles = PERCENTILES.map(([{ name }, share]) => [name, millisOf(share)] as const)
      return { [THROUGHPUT.name]: turnsPerSecond, ...Object.fromEntries(percentiles) }
    },
    async [Symbol.asyncDispose]() {
      await pool.end()
    },
  }
}

function working(pool: pg.Pool, pace: Pace): Caller {
  let came = 0
  return async (turns) => {
    const arrivals = new Arrivals(pace, came++ % pace.callers)
    const slow: Promise<unknown>[] = []
    while (turns.next()) {
      const turn = turns.count
      const from = await arrivals.next()
      const id = turn % ITEMS
      const work = workOf(turn)
      if (work === 'slow') {
        // Its caller doesn't wait for it: what is due meanwhile would count as late because of that.
        slow.push(pool.query(`select pg_sleep(${SLOW_MILLIS / 1000})`))
        continue
      }
      if (work === 'transaction') await transact(pool, id)
      else await pool.query(work === 'write' ? WRITE : READ, [id])
      turns.took(performance.now() - from)
    }
    await Promise.all(slow)
  }
}

/** By hand, so that the code is the same for all contestants. */
async function transact(pool: pg.Pool, id: number): Promise<void> {
  const client = await pool.connect()
  await client.query('begin')
  await client.query(READ, [id])
  await client.query(WRITE, [id])
  await client.query('commit')
  client.release()
}
