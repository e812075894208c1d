import { Pool } from '@holdfast/core'
import pg from 'pg'
import { type Benchmark, type Contest, type Contestant, emptyStage, type Metric } from '../contest.ts'
import type { ContestantName } from '../contestants.ts'
import { type ClientClass, scriptedClient } from '../scripted/client.ts'

const MAX = 10
const WAITERS = 10_000
const ScriptedClient = scriptedClient()

const COST: Metric = { name: 'cost per waiter', unit: 'ns', better: 'less' }

/** What both pools are made with. */
interface Settings {
  readonly Client: ClientClass
  readonly max: number
  readonly connectionTimeoutMillis: number
}

interface WaitedFor {
  connect(): Promise<{ release(): void }>
  end(): Promise<void>
}

const POOLS = {
  holdfast: (settings) => new Pool(settings),
  'pg-pool': (settings) => new pg.Pool(settings),
} satisfies Partial<Record<ContestantName, (settings: Settings) => WaitedFor>>

/** What a long wait queue costs its waiters. */
export const waiters: Benchmark = {
  name: 'waiters',
  about: `${WAITERS} callers in line for ${MAX} connections without a server`,
  contestants: Object.keys(POOLS) as (keyof typeof POOLS)[],
  async stage(sliceMillis) {
    return emptyStage([
      contest('each with a deadline of 30 s', 30_000, sliceMillis),
      contest('without a deadline', 0, sliceMillis),
    ])
  },
}

function contest(name: string, connectionTimeoutMillis: number, sliceMillis: number): Contest {
  const contestants = Object.entries(POOLS).map(([contestant, make]): Contestant => {
    return {
      name: contestant as keyof typeof POOLS,
      async enter() {
        const pool: WaitedFor = make({ Client: ScriptedClient, max: MAX, connectionTimeoutMillis })
        return {
          measure: async () => ({ [COST.name]: await nanosPerWaiter(pool, sliceMillis) }),
          [Symbol.asyncDispose]: () => pool.end(),
        }
      },
    }
  })
  return { name, metrics: [COST], contestants, goals: [] }
}

/** The time from `connect()` to `release()`, for queue after queue during about `sliceMillis`. */
async function nanosPerWaiter(pool: WaitedFor, sliceMillis: number): Promise<number> {
  let lines = 0
  let tookMillis = 0
  for (; tookMillis < sliceMillis; lines++) tookMillis += await oneLine(pool)
  return (tookMillis * 1e6) / (lines * WAITERS)
}

/** How long it takes to fill one wait queue and to serve it, with all connections leased at the beginning. */
async function oneLine(pool: WaitedFor): Promise<number> {
  const holders = await Promise.all(Array.from({ length: MAX }, () => pool.connect()))
  const from = performance.now()
  const served = Array.from({ length: WAITERS }, () => pool.connect().then((client) => client.release()))
  for (const holder of holders) holder.release()
  await Promise.all(served)
  return performance.now() - from
}
