import { type Logger, Pool, type PoolOptions } from '@holdfast/core'
import type { Clock } from '../runtime/clock.ts'
import { withinPatience } from '../runtime/clock.ts'
import { askServer } from './ask-server.ts'
import type { DoctorRequest } from './command-line.ts'
import { type Diagnosis, diagnose, diagnoseFailure } from './diagnosis.ts'
import { duration } from './duration.ts'
import type { Place } from './facts.ts'

const ignore = (): void => {}
/** What the pool would warn of is what the checks say. */
const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
/** One to ask; a second one shows what a pooler does. */
const MAX = 2
/** What still waits for an answer then is cut off. */
const CLOSE_MILLIS = 500

/**
 * Asks a server as a pool would, and says what that means.
 *
 * @throws {OptionsError} if what says where the server is can't be read; the reason of `signal` once that is aborted.
 */
export async function examine(request: DoctorRequest, clock: Clock, signal: AbortSignal): Promise<Diagnosis> {
  const { connectionString, wanted, timeoutMillis } = request
  const pool = new Pool(optionsFor(connectionString, timeoutMillis))
  const late = (): Error =>
    Object.assign(new Error(`the server has not answered everything within ${duration(timeoutMillis)}`), {
      code: 'ETIMEDOUT',
    })
  try {
    const facts = withinPatience(clock, timeoutMillis, askServer(pool, { clock, wanted }), late)
    return diagnose(await Promise.race([facts, abortOf(signal)]))
  } catch (error) {
    signal.throwIfAborted()
    return diagnoseFailure(placeOf(pool), error)
  } finally {
    await pool.end()
  }
}

/** One attempt to connect, and a deadline for each question, so that what is wrong is told and not waited for. */
function optionsFor(connectionString: string | undefined, timeoutMillis: number): PoolOptions {
  return {
    ...(connectionString !== undefined && { connectionString }),
    max: MAX,
    connectionTimeoutMillis: timeoutMillis,
    connectRetry: { retries: 0 },
    query_timeout: timeoutMillis,
    closeTimeoutMillis: CLOSE_MILLIS,
    application_name: 'holdfast doctor',
    name: 'doctor',
    logger: SILENT,
  }
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Where the pool would connect to, as far as its options say so. */
function placeOf(pool: Pool): Place {
  const { host = process.env.PGHOST ?? 'localhost', port = process.env.PGPORT ?? 5432, database } = pool.options
  return { host: String(host), port: Number(port), database: database ?? process.env.PGDATABASE }
}
