import { setTimeout as pause } from 'node:timers/promises'
import { type Cluster, until } from '../../support/index.ts'
import type { Random } from '../random/random.ts'
import type { Place } from './conditions.ts'

/** What ends the writers' sessions. */
export interface Fault {
  readonly name: string
  /** Settings of each session that make it end by itself. */
  readonly options?: string
  /** How long a writer waits before each write, at most, in milliseconds. @default 0 */
  readonly pauseMillis?: number
  /** How long each write sleeps, at most, in seconds. @default 0 */
  readonly sleepSeconds?: number
  /** Whether the server starts again by itself when it has struck. */
  readonly crashes?: true
  /** Ends them from outside, again and again. */
  strike?(cluster: Cluster, random: Random): Promise<unknown>
}

/** How many writes succeed before the next strike, at least. */
const WRITES_BETWEEN = 24
/** How long that may take, in milliseconds: most writes may have failed. */
const PATIENCE_MILLIS = 500
/** A server with a frozen standby doesn't stop before that has its log. */
const FREEZE_MILLIS = 200

/** All of them. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'pg_terminate_backend',
    // By one statement, since each session of the cluster's own takes its time.
    strike: (cluster, random) =>
      cluster.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where usename = 'app' and (state = 'active' or random() < 0.2) order by random() limit $1`,
        [random.between(1, 12)],
      ),
  },
  { name: 'fast restart', strike: (cluster) => cluster.restart('fast') },
  { name: 'immediate restart', strike: (cluster) => cluster.restart('immediate') },
  {
    name: 'SIGKILL of a session',
    crashes: true,
    async strike(cluster, random) {
      const sessions = await cluster.sessions()
      if (sessions.length > 0) killNow(random.pick(sessions).pid)
    },
  },
  { name: 'SIGKILL of the server', strike: (cluster) => cluster.restart('kill') },
  { name: 'idle_session_timeout', options: '-c idle_session_timeout=30', pauseMillis: 60 },
  { name: 'transaction_timeout', options: '-c transaction_timeout=15', sleepSeconds: 0.02 },
]

/** What a series of strikes needs. */
export interface Strikes {
  readonly fault: Fault
  readonly place: Place
  readonly random: Random
  /** How many writes have succeeded so far. */
  readonly written: () => number
}

/** Strikes again and again until the signal aborts. Returns how often. */
export async function strikeUntil(signal: AbortSignal, { fault, place, random, written }: Strikes): Promise<number> {
  const { cluster, standby } = place
  const { strike } = fault
  let strikes = 0
  while (strike && !signal.aborted) {
    const before = written()
    const deadline = performance.now() + PATIENCE_MILLIS
    while (written() < before + WRITES_BETWEEN && performance.now() < deadline && !signal.aborted) await pause(1)
    await pause(random.between(0, 20))
    if (signal.aborted) break
    // Every COMMIT now waits for the standby, and is committed on the primary.
    await standby?.freeze()
    if (standby) await pause(random.between(0, 30))
    const striking = strike(cluster, random)
    if (standby) await Promise.race([striking, pause(FREEZE_MILLIS)])
    await standby?.thaw()
    await striking
    strikes++
    if (fault.crashes) await until(() => cluster.query('select'), { what: 'the server to be up again' })
  }
  return strikes
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // It has ended meanwhile.
  }
}
