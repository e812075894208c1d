import { setTimeout as sleep } from 'node:timers/promises'
import { Pool, PoolOverloadedError, PoolTimeoutError } from '@holdfast/core'
import { Cluster } from '@holdfast/test/support'
import pg from 'pg'

/** The server gets slow for a while, and callers come as if it had not. */
export const OVERLOAD = {
  connections: 10,
  callersPerSecond: 300,
  /** A caller that has waited for longer has gone. */
  patienceMillis: 1000,
  fastMillis: 2,
  slowMillis: 500,
  /** When it is slow, and how long callers come. */
  slowFrom: 2000,
  slowUntil: 6000,
  lastsMillis: 14_000,
} as const

/** What became of a caller. */
export type Outcome = 'in time' | 'too late' | 'refused'

/** One caller: when it was to come, what became of it, and after how long. */
export interface Caller {
  readonly at: number
  readonly outcome: Outcome
  readonly tookMillis: number
}

/** What became of all callers of one pool. */
export interface OverloadResult {
  readonly pool: string
  readonly callers: readonly Caller[]
}

type AnyPool = Pick<pg.Pool, 'query' | 'end'>

const POOLS: Readonly<Record<string, (config: pg.PoolConfig) => AnyPool>> = {
  'pg.Pool': (config) => new pg.Pool(config),
  Holdfast: (config) => new Pool(config),
  'Holdfast, shedding: true': (config) => new Pool({ ...config, shedding: true }),
}

const TICK_MILLIS = 10

/** Each pool meets the same, one after the other. */
export async function runOverload(signal: AbortSignal): Promise<OverloadResult[]> {
  await using cluster = await Cluster.start({ tls: false })
  const results: OverloadResult[] = []
  for (const [name, make] of Object.entries(POOLS)) {
    signal.throwIfAborted()
    const pool = make(cluster.config({ max: OVERLOAD.connections } as object))
    results.push({ pool: name, callers: await callersOf(pool, signal) })
    await pool.end()
  }
  return results
}

async function callersOf(pool: AnyPool, signal: AbortSignal): Promise<Caller[]> {
  const { fastMillis, slowMillis, slowFrom, slowUntil, lastsMillis, callersPerSecond } = OVERLOAD
  await Promise.all(Array.from({ length: OVERLOAD.connections }, () => pool.query('select pg_sleep(0.05)')))
  const startedAt = performance.now()
  const calls: Promise<Caller>[] = []
  const due = (): number => (calls.length * 1000) / callersPerSecond
  while (due() < lastsMillis) {
    const now = performance.now() - startedAt
    for (let at = due(); at < Math.min(now, lastsMillis); at = due())
      calls.push(call(pool, at, at >= slowFrom && at < slowUntil ? slowMillis : fastMillis))
    await sleep(TICK_MILLIS, undefined, { signal })
  }
  return await Promise.all(calls)
}

async function call(pool: AnyPool, at: number, millis: number): Promise<Caller> {
  const from = performance.now()
  const caller = (outcome: Outcome): Caller => ({ at, outcome, tookMillis: performance.now() - from })
  try {
    await pool.query('select pg_sleep($1)', [millis / 1000])
    return caller(performance.now() - from <= OVERLOAD.patienceMillis ? 'in time' : 'too late')
  } catch (error) {
    if (error instanceof PoolOverloadedError) return caller('refused')
    if (error instanceof PoolTimeoutError) return caller('too late')
    throw error
  }
}
