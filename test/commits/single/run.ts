import { setTimeout as pause } from 'node:timers/promises'
import { ConnectionLostError, Pool, type PoolOptions } from '@holdfast/core'
import { type Cluster, until } from '../../support/index.ts'
import { Random } from '../random/random.ts'
import type { Place } from './conditions.ts'
import { type Fault, strikeUntil } from './faults.ts'

/** How many write at a time. */
const WRITERS = 16

/** What a run is to be. */
export interface SingleOptions {
  readonly seed: number
  readonly count: number
  readonly fault: Fault
  /** What the pool is given besides. */
  readonly pool?: PoolOptions
}

/** What has come out of it. */
export interface SingleReport {
  readonly count: number
  readonly written: number
  /** Writes that were reported as failed with the certainty that nothing was written, by the error. */
  readonly rolledBack: ReadonlyMap<string, number>
  /** Writes that were reported as lost with an unknown outcome, by the error. */
  readonly unknown: ReadonlyMap<string, number>
  /** How many of those are written. */
  readonly unknownAndPresent: number
  readonly strikes: number
  readonly millis: number
  readonly wrong: Wrong
}

/** All that must not be: ids of writes. */
export interface Wrong {
  readonly writtenAndMissing: readonly string[]
  readonly rolledBackAndPresent: readonly string[]
  readonly doubled: readonly string[]
}

/** What a run without a wrong answer has. */
export const NOTHING_WRONG: Wrong = { writtenAndMissing: [], rolledBackAndPresent: [], doubled: [] }

class Journal {
  readonly written = new Set<string>()
  readonly rolledBack = new Map<string, string>()
  readonly unknown = new Map<string, string>()

  async note(id: string, write: Promise<unknown>): Promise<void> {
    try {
      await write
      this.written.add(id)
    } catch (error) {
      const isUnknown = error instanceof ConnectionLostError && error.commitOutcome === 'unknown'
      const { name, code = '', message } = error as Error & { code?: string }
      const told = isUnknown ? this.unknown : this.rolledBack
      told.set(id, `${name} ${code} ${message}`.replaceAll(/\d+ (ms|of|in|idle|conn|wait)/g, 'n $1'))
    }
  }
}

/** Writes while the fault strikes, one row with each statement, and compares the answers with what was written. */
export async function runSingle(
  place: Place,
  { seed, count, fault, pool: options }: SingleOptions,
): Promise<SingleReport> {
  const { cluster, config, greeting } = place
  await cluster.query('truncate written')
  const startedAt = performance.now()
  const journal = new Journal()
  const over = new AbortController()
  let strikes: number
  {
    await using pool = new Pool({
      ...config,
      max: WRITERS,
      connectionTimeoutMillis: 20_000,
      closeTimeoutMillis: 500,
      ...(fault.options !== undefined && { options: fault.options }),
      ...(greeting !== undefined && { onConnect: async (client) => void (await client.query(greeting)) }),
      ...options,
    })
    const notified = place.isNotified ? notifyUntil(over.signal, cluster) : undefined
    const written = (): number => journal.written.size
    const striking = strikeUntil(over.signal, { fault, place, random: new Random(seed + 1), written })
    const ids = Array.from({ length: count }, (_, index) => `${seed}.${index}`)
    const writeAll = async (random: Random): Promise<void> => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
        if (fault.pauseMillis !== undefined) await pause(random.between(0, fault.pauseMillis))
        await journal.note(id, write(pool, id, random, fault.sleepSeconds))
      }
    }
    const writing = Array.from({ length: WRITERS }, (_, index) => writeAll(new Random(seed + 100 + index)))
    // If the strikes fail, the run fails at once.
    await Promise.race([Promise.all(writing), striking.then(() => Promise.all(writing))])
    over.abort()
    strikes = await striking
    await notified
  }
  // Waits for the sessions to end by themselves: a write that is still under way must be counted.
  await until(async () => (await cluster.countSessions()) === 0, { what: 'all sessions to have ended' })
  const times = await timesWritten(cluster)
  return {
    count,
    written: journal.written.size,
    rolledBack: counted(journal.rolledBack.values()),
    unknown: counted(journal.unknown.values()),
    unknownAndPresent: [...journal.unknown.keys()].filter((id) => times.has(id)).length,
    strikes,
    millis: performance.now() - startedAt,
    wrong: {
      writtenAndMissing: [...journal.written].filter((id) => !times.has(id)),
      rolledBackAndPresent: [...journal.rolledBack.keys()].filter((id) => times.has(id)),
      doubled: [...times].flatMap(([id, copies]) => (copies > 1 ? [id] : [])),
    },
  }
}

/** One statement: by the simple protocol or the extended one, through the pool or as the first of a lease. */
async function write(pool: Pool, id: string, random: Random, sleepSeconds: number | undefined): Promise<void> {
  const nap = sleepSeconds === undefined ? '' : ` from pg_sleep(random() * ${sleepSeconds})`
  const statement: [string, string[]?] =
    random.next() < 0.5 ? [`insert into written select '${id}'${nap}`] : [`insert into written select $1${nap}`, [id]]
  if (random.next() < 0.7) return void (await pool.query(...statement))
  const client = await pool.connect()
  try {
    await client.query(...statement)
  } finally {
    client.release()
  }
}

/** As fast as the server takes them. */
async function notifyUntil(signal: AbortSignal, cluster: Cluster): Promise<void> {
  while (!signal.aborted)
    await cluster
      .withAdmin(async (admin) => {
        while (!signal.aborted)
          await admin.query("select pg_notify('storm', gen_random_uuid()::text) from generate_series(1, 20)")
      })
      .catch(() => pause(20)) // Its session ends with the others.
}

async function timesWritten(cluster: Cluster): Promise<ReadonlyMap<string, number>> {
  const rows = await cluster.query<{ id: string; times: number }>(
    'select id, count(*)::int as times from written group by id',
  )
  return new Map(rows.map(({ id, times }) => [id, times]))
}

function counted(names: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
