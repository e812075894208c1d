import { truthIn } from '../commit/server-report.ts'
import type { Connection } from '../connection/connection.ts'
import type { LeasedClient } from '../connection/physical-client.ts'
import { ask } from '../connection/question.ts'
import type { Engine } from '../engine/engine.ts'
import type { Waiter } from '../engine/waiter-list.ts'
import { NoReplicaError, PoolTimeoutError } from '../errors.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import { pause } from '../runtime/clock.ts'
import type { PoolOptionsScope } from '../runtime/pool-options-scope.ts'
import { isInstance } from '../thrown.ts'
import type { ReaderTerms } from './reader-terms.ts'

/** How soon a replica is asked again what it has replayed, in milliseconds. */
const PAUSE_MILLIS = 10
/** How long a caller waits for a replica if the primary can serve it as well, in milliseconds; or half of its deadline. */
const PATIENCE_MILLIS = 1000

/** What a caller asks for that reads what was written before. */
interface AfterTerms {
  readonly reader: Engine
  readonly terms: ReaderTerms
  readonly options: PoolOptionsScope & { readonly after: string }
  readonly stack: string | undefined
}

/** A client of the reader that has what `after` asks for. */
export function connectAfter(
  reader: Engine,
  terms: ReaderTerms,
  options: AfterTerms['options'],
  stack: string | undefined,
): Promise<LeasedClient> {
  const leased = leaseAfter({ reader, terms, options, stack })
  return leased.then((connection) => connection.clientForLease())
}

/**
 * Leases a connection whose server has replayed the WAL up to `after`: of the reader, else, under `fallback: 'primary'`, of the
 * pool itself. The very session is asked that is leased, since replicas are at different positions.
 *
 * @throws {NoReplicaError} if no replica has replayed it by the deadline.
 * @throws What waiting for a connection throws.
 */
async function leaseAfter({ reader, terms, options, stack }: AfterTerms): Promise<Connection> {
  const { clock } = reader
  const { after } = options
  const { fallback } = terms.replicas
  const mayFallBack = fallback === 'primary'
  const { connectionTimeoutMillis = reader.options.connectionTimeoutMillis } = options
  const startedAt = clock.now()
  const until = startedAt + (connectionTimeoutMillis || Number.POSITIVE_INFINITY)
  const patientUntil = mayFallBack ? Math.min(startedAt + PATIENCE_MILLIS, (startedAt + until) / 2) : until
  for (let left = patientUntil - startedAt; left > 0; left = patientUntil - clock.now()) {
    const connection = await lease(reader, within(options, left), stack).catch((error: unknown) => {
      if (!mayFallBack || !isInstance(error, PoolTimeoutError)) throw error
    })
    if (!connection) break
    if (await hasReplayed(connection, after, reader)) return connection
    reader.release(connection)
    await pause(clock, PAUSE_MILLIS, 'process')
  }
  if (mayFallBack) return await lease(terms.primary, within(options, Math.max(until - clock.now(), 1)), stack)
  const millis = Math.round(clock.now() - startedAt)
  const [first] = terms.replicas.hosts
  const where = { host: first?.host ?? '', port: first?.port ?? 0, database: undefined }
  throw new NoReplicaError(where, new Error(`no replica has replayed ${after} within ${millis} ms`))
}

function within(options: PoolOptionsScope, millis: number): PoolOptionsScope {
  return { ...options, connectionTimeoutMillis: millis === Number.POSITIVE_INFINITY ? 0 : millis }
}

function lease(engine: Engine, options: PoolOptionsScope, stack: string | undefined): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const waiter: Waiter = { options, stack, leased: resolve, failed: reject }
    engine.acquire(waiter)
  })
}

/** Whether this server has everything up to there. A primary has; a connection that is lost meanwhile shows nothing. */
async function hasReplayed(connection: Connection, after: string, { clock }: Engine): Promise<boolean> {
  const question = `select (not pg_catalog.pg_is_in_recovery() or pg_catalog.pg_last_wal_replay_lsn() >= '${after}')::text as has_replayed`
  try {
    const [row] = await ask(connection, question, clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
    return truthIn(row?.has_replayed) === true
  } catch {
    return false
  }
}
