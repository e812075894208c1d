import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from '@holdfast/core'
import pg from 'pg'
import { quantile } from 'simple-statistics'
import { type Benchmark, type Contestant, emptyStage, type Metric, type Sample } from '../contest.ts'
import type { ContestantName } from '../contestants.ts'
import { type ClientClass, scriptedClient } from '../scripted/client.ts'

const WARM = 5
const MAX = 30
const REQUESTS = 50
const REQUEST_MILLIS = 2
const CONNECT_MILLIS = 20
const ScriptedClient = scriptedClient(CONNECT_MILLIS)

const MIDDLE: Metric = { name: 'p50', unit: 'ms', better: 'less' }
const TAIL: Metric = { name: 'p99', unit: 'ms', better: 'less' }
const OPEN: Metric = { name: 'open afterwards', unit: 'connections', better: 'less' }

/** What both pools are made with. */
interface Settings {
  readonly Client: ClientClass
  readonly max: number
}

interface Spiked {
  readonly totalCount: number
  connect(): Promise<{ release(): void }>
  end(): Promise<void>
}

const POOLS = {
  holdfast: (settings) => new Pool(settings),
  'pg-pool': (settings) => new pg.Pool(settings),
} satisfies Partial<Record<ContestantName, (settings: Settings) => Spiked>>

/** Whether callers that arrive at once wait for new connections while old ones are free. */
export const spike: Benchmark = {
  name: 'spike',
  about: `${REQUESTS} requests at once on ${WARM} warm connections, of up to ${MAX}`,
  contestants: Object.keys(POOLS) as (keyof typeof POOLS)[],
  async stage() {
    const contestants = Object.entries(POOLS).map(([name, make]): Contestant => {
      return {
        name: name as keyof typeof POOLS,
        async enter() {
          return { measure: () => oneSpike(make), async [Symbol.asyncDispose]() {} }
        },
      }
    })
    const name = `requests of ${REQUEST_MILLIS} ms, connects of ${CONNECT_MILLIS} ms`
    return emptyStage([{ name, metrics: [MIDDLE, TAIL, OPEN], contestants, goals: [] }])
  },
}

async function oneSpike(make: (settings: Settings) => Spiked): Promise<Sample> {
  const pool = make({ Client: ScriptedClient, max: MAX })
  try {
    const warm = await Promise.all(Array.from({ length: WARM }, () => pool.connect()))
    for (const client of warm) client.release()
    const from = performance.now()
    const tookMillis = await Promise.all(Array.from({ length: REQUESTS }, () => oneRequest(pool, from)))
    await sleep(2 * CONNECT_MILLIS) // Connections that are still being opened, though no caller needs them, count too.
    return {
      [MIDDLE.name]: quantile(tookMillis, 0.5),
      [TAIL.name]: quantile(tookMillis, 0.99),
      [OPEN.name]: pool.totalCount,
    }
  } finally {
    await pool.end()
  }
}

/** Returns how long after `from` the caller was served. */
async function oneRequest(pool: Spiked, from: number): Promise<number> {
  const client = await pool.connect()
  await sleep(REQUEST_MILLIS)
  client.release()
  return performance.now() - from
}
