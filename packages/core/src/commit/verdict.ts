import { digitsIn, numberIn } from './answer.ts'

/** Which server this is, as far as the ids of its transactions mean something, and which session of it. */
export interface ServerIdentity {
  /** The process that serves the session; behind a pooler it isn't the one that the protocol names. */
  readonly backendPid: number
  /** When that began, in microseconds since 1970: a pid may be used again. */
  readonly backendStart: string
  /** Of the data directory, since initdb. */
  readonly systemIdentifier: string
  /** Changes with each promotion. */
  readonly timeline: string
  /** When the server was started. */
  readonly postmasterStart: string
  /** When its statistics began: anew after each crash, also one that the postmaster survives; not after a clean restart. */
  readonly statisticsStart: string
}

/** A transaction, so that another session can ask about it. */
export interface TransactionIdentity extends ServerIdentity {
  /** 64 bits, as text. */
  readonly transactionId: string
}

/** What became of a transaction whose COMMIT was lost. */
export type CommitVerdict = 'committed' | 'aborted' | { readonly unknown: string }

const SERVER = `pg_catalog.concat_ws(' ', pg_catalog.pg_backend_pid(),
  (select ${microseconds('backend_start')} from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())),
  (select system_identifier from pg_catalog.pg_control_system()),
  pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8),
  ${microseconds('pg_catalog.pg_postmaster_start_time()')},
  ${microseconds('pg_catalog.pg_stat_get_bgwriter_stat_reset_time()')})`
const XID = 'pg_catalog.pg_current_xact_id_if_assigned()::text'
// Asked of a standby this would be an error; asked in a transaction an error would abort it.
const SERVER_OF_PRIMARY = `case when pg_catalog.pg_is_in_recovery() then null else ${SERVER} end`

/**
 * Asks a session for its transaction's id (it never assigns one) and its process; with everything about the server, or
 * without, which costs half.
 *
 * @see https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
 */
export const PROBE: { readonly whole: string; readonly short: string } = {
  whole: `select ${XID} as xid, pg_catalog.pg_backend_pid()::text as pid, ${SERVER_OF_PRIMARY} as server`,
  short: `select ${XID} as xid, pg_catalog.pg_backend_pid()::text as pid`,
}

/** Asks a primary who it is, and what its last checkpoint knew. No row means that it is a standby. */
export const IDENTIFY_SERVER: string = `select ${SERVER} as server, split_part(next_xid, ':', 1)::numeric * 4294967296 +
  split_part(next_xid, ':', 2)::numeric as next_xid,
  (checkpoint_lsn = redo_lsn and current_setting('wal_level') <> 'minimal')::text as is_first
  from pg_catalog.pg_control_checkpoint() where not pg_catalog.pg_is_in_recovery()`

/** Asks what became of a transaction; error 22023 says that there has been none with this id. */
export function xidStatusQuery({ transactionId }: TransactionIdentity): string {
  return `select pg_catalog.pg_xact_status('${transactionId}'::xid8) as status`
}

/** Whether its session is there yet, and what it waits for. */
export function sessionQuery(session: ServerIdentity): string {
  return `select wait_event, backend_xid::text as xid from pg_catalog.pg_stat_activity where ${isSession(session)}`
}

/**
 * Ends its session, if that is the same one, and still in this transaction. Not while it waits for a standby: it would
 * be committed here, and told to be safe there.
 */
export function fence(transaction: TransactionIdentity): string {
  return terminate(`${isSession(transaction)}
    and backend_xid = '${transaction.transactionId}'::xid8::xid and wait_event is distinct from 'SyncRep'`)
}

/** Ends a session, if it is the same one, and in its transaction yet, as far as that is known. */
export function terminateSessionQuery(session: ServerIdentity | TransactionIdentity): string {
  return 'transactionId' in session ? fence(session) : terminate(isSession(session))
}

function terminate(which: string): string {
  return `select pg_catalog.pg_terminate_backend(pid) as done from pg_catalog.pg_stat_activity where ${which}`
}

/** A pid may be used again; with its start it isn't. */
function isSession({ backendPid, backendStart }: ServerIdentity): string {
  return `pid = ${backendPid} and ${microseconds('backend_start')}::text = '${backendStart}'`
}

/** A time as a whole number: how a fraction is written depends on the session's settings in PostgreSQL 13. */
function microseconds(time: string): string {
  return `(extract(epoch from ${time}) * 1000000)::bigint`
}

const TIME = /^\d{1,20}(?:\.\d{1,20})?$/
const TIMELINE = /^[\dA-F]{8}$/i

/** Reads what a session says of its server; undefined if it makes no sense, or there is none that could commit. */
export function readServer(text: unknown): ServerIdentity | undefined {
  const parts = typeof text === 'string' ? text.split(' ') : []
  const [
    pid = '',
    backendStart = '',
    systemIdentifier = '',
    timeline = '',
    postmasterStart = '',
    statisticsStart = '',
  ] = parts
  const backendPid = numberIn(digitsIn(pid))
  const isTold = [backendStart, postmasterStart, statisticsStart].every((time) => TIME.test(time))
  if (parts.length !== 6 || backendPid === undefined || !isTold) return undefined
  if (digitsIn(systemIdentifier) === undefined || !TIMELINE.test(timeline)) return undefined
  return { backendPid, backendStart, systemIdentifier, timeline, postmasterStart, statisticsStart }
}

/** What the server that was asked says of itself. */
export interface ReportedState {
  readonly server: ServerIdentity
  /** The first id that its last checkpoint had not seen. */
  readonly nextTransactionId: string
  /** Whether that checkpoint is the one that a server begins with: what it knew, it knew from before. */
  readonly isFirstCheckpoint: boolean
}

/** What it says of the transaction: `future` if it has never heard of it, null if it has forgotten. */
export type ReportedXidStatus = 'committed' | 'aborted' | 'in progress' | 'future' | null

/**
 * Judges what may be believed. Ids are only worth something on the same timeline of the same system. And after a crash
 * one may be used again whose transaction had left no trace on disk: then `committed` could be another's, and nobody knows;
 * `aborted` is right for both.
 */
export function judgeVerdict(
  asked: TransactionIdentity,
  { server, nextTransactionId, isFirstCheckpoint }: ReportedState,
  status: ReportedXidStatus,
): CommitVerdict | 'in progress' {
  if (server.systemIdentifier !== asked.systemIdentifier) return { unknown: 'the server is another system' }
  if (server.timeline !== asked.timeline)
    return { unknown: `the server has failed over: timeline ${asked.timeline} has become ${server.timeline}` }
  if (status === null) return { unknown: 'the transaction is too old: the server has forgotten its outcome' }
  const hasCrashed = server.statisticsStart !== asked.statisticsStart
  if (!hasCrashed) return status === 'future' ? { unknown: 'the server has never heard of the transaction' } : status
  if (status === 'future' || status === 'aborted') return 'aborted'
  // Without a restart the statistics may have been reset by hand.
  const hasRestarted = server.postmasterStart !== asked.postmasterStart
  // What the server began with did not know the id: its transaction had left no trace.
  if (hasRestarted && isFirstCheckpoint && BigInt(nextTransactionId) <= BigInt(asked.transactionId)) return 'aborted'
  // With its server the session has ended: whoever is in progress under its id is another.
  if (status === 'in progress') return hasRestarted ? 'aborted' : 'in progress'
  return { unknown: 'the server has crashed since, and may have used the id of the transaction again' }
}
