import { codeOf } from '../thrown.ts'
import type { ServerIdentity, ServerState, TransactionIdentity, XidStatus } from './verdict.ts'

/** One row of an answer to a question of the pool: texts by column. */
export type Row = Readonly<Record<string, unknown>>

/** The digits of 64 bits. A longer text is no number of PostgreSQL's, and takes long to compute with. */
const DIGITS = /^\d{1,20}$/
const INTEGER = /^-?\d{1,15}$/

/**
 * The rows of the driver's result for one statement. Undefined if there are two results or none: such an answer belongs to
 * another question.
 */
export function rowsIn(result: unknown): readonly Row[] | undefined {
  const rows = isRecord(result) ? result.rows : undefined
  return Array.isArray(rows) && rows.every(isRecord) ? rows : undefined
}

/** The digits of an unsigned number of 64 bits; undefined if the value isn't one. */
export function digitsIn(value: unknown): string | undefined {
  return typeof value === 'string' && DIGITS.test(value) ? value : undefined
}

/** A whole number that JavaScript can compute with; undefined if the value isn't one. */
export function numberIn(value: unknown): number | undefined {
  if (typeof value === 'string') return INTEGER.test(value) ? Number(value) : undefined
  return Number.isSafeInteger(value) ? (value as number) : undefined
}

/** One of these words; undefined if the value is none of them. */
export function wordIn<const Word extends string>(value: unknown, words: readonly Word[]): Word | undefined {
  return words.find((word) => word === value)
}

/** A boolean, in any way that PostgreSQL writes it; undefined if the value isn't one. */
export function truthIn(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  return wordIn(value, ['t', 'true', 'f', 'false'])?.startsWith('t')
}

function isRecord(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The timeline on which a primary writes, in hexadecimal. A standby refuses to tell it. */
export const TIMELINE_NOW =
  'pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)'
/** The number that all copies of a server share. */
export const SYSTEM_IDENTIFIER = '(select system_identifier from pg_catalog.pg_control_system())'

const SERVER = `pg_catalog.concat_ws(' ', pg_catalog.pg_backend_pid(),
  (select ${microseconds('backend_start')} from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())),
  ${SYSTEM_IDENTIFIER},
  ${TIMELINE_NOW},
  ${microseconds('pg_catalog.pg_postmaster_start_time()')},
  ${microseconds('pg_catalog.pg_stat_get_bgwriter_stat_reset_time()')})`
const XID = 'pg_catalog.pg_current_xact_id_if_assigned()::text'
// On a standby SERVER fails; in a transaction that error would abort it.
const SERVER_OF_PRIMARY = `case when pg_catalog.pg_is_in_recovery() then null else ${SERVER} end`

/**
 * Asks a session for the id of its transaction (without assigning one) and for its process: with everything about the
 * server, or without it, which costs half as much.
 *
 * @see https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
 */
export const PROBE: { readonly withServer: string; readonly withoutServer: string } = {
  withServer: `select ${XID} as xid, pg_catalog.pg_backend_pid()::text as pid, ${SERVER_OF_PRIMARY} as server`,
  withoutServer: `select ${XID} as xid, pg_catalog.pg_backend_pid()::text as pid`,
}

/** Asks a primary who it is, and what its last checkpoint knew. A standby answers with no row. */
const STATE_QUERY = `select ${SERVER} as server, split_part(next_xid, ':', 1)::numeric * 4294967296 +
  split_part(next_xid, ':', 2)::numeric as next_xid,
  (checkpoint_lsn = redo_lsn and current_setting('wal_level') <> 'minimal')::text as is_first
  from pg_catalog.pg_control_checkpoint() where not pg_catalog.pg_is_in_recovery()`

/** invalid_parameter_value: "transaction ID is in the future". */
const XID_IN_THE_FUTURE = '22023'

/** Asks what became of a transaction. Error 22023 says that the server has not reached its id. */
export function xidStatusQuery({ transactionId }: Pick<TransactionIdentity, 'transactionId'>): string {
  return `select pg_catalog.pg_xact_status('${transactionId}'::xid8) as status`
}

/** Asks whether a session still exists, and what it waits for. */
export function sessionQuery(session: ServerIdentity): string {
  return `select wait_event, backend_xid::text as xid from pg_catalog.pg_stat_activity where ${isSession(session)}`
}

/**
 * Terminates a session if it is still the same one and, where its transaction is known, still in that.
 *
 * Not while it waits for a synchronous standby: then its transaction is committed on this server, and terminating it would
 * make the server report that as replicated.
 */
export function terminateQuery(session: ServerIdentity | TransactionIdentity): string {
  const isInTransaction =
    'transactionId' in session
      ? `
    and backend_xid = '${session.transactionId}'::xid8::xid and wait_event is distinct from 'SyncRep'`
      : ''
  return `select pg_catalog.pg_terminate_backend(pid) as done from pg_catalog.pg_stat_activity
    where ${isSession(session)}${isInTransaction}`
}

/** A pid may be used again; a pid with its start can't. */
function isSession({ backendPid, backendStart }: ServerIdentity): string {
  return `pid = ${backendPid} and ${microseconds('backend_start')}::text = '${backendStart}'`
}

/** A time as a whole number: PostgreSQL 13 writes a fraction as the session's settings say. */
function microseconds(time: string): string {
  return `(extract(epoch from ${time}) * 1000000)::bigint`
}

const TIME = /^\d{1,20}(?:\.\d{1,20})?$/
const TIMELINE = /^[\dA-F]{8}$/i

/** Reads a server's identity; undefined if it makes no sense, or comes from a standby, which can't commit. */
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
  const areTimes = [backendStart, postmasterStart, statisticsStart].every((time) => TIME.test(time))
  if (parts.length !== 6 || backendPid === undefined || !areTimes) return undefined
  if (digitsIn(systemIdentifier) === undefined || !TIMELINE.test(timeline)) return undefined
  return { backendPid, backendStart, systemIdentifier, timeline, postmasterStart, statisticsStart }
}

/** Sends a question over one connection; rejects with the server's error. */
export type Ask = (sql: string) => Promise<readonly Row[]>

/** What a primary says about a transaction. */
export interface ServerReport {
  readonly state: ServerState
  /** The transaction's session, if it still exists. */
  readonly session: { readonly waitEvent: unknown } | undefined
  /** Asked after the session: without a session, a transaction that is in progress under this id is another one. */
  readonly status: XidStatus
}

/**
 * Asks a server who it is, and what became of a transaction; undefined from a standby. All in one transaction: behind a
 * pooler two statements may reach two servers, and the answers must come from one.
 */
export async function readServerReport(transaction: TransactionIdentity, ask: Ask): Promise<ServerReport | undefined> {
  await ask('begin read only')
  const report = await readInTransaction(transaction, ask)
  await ask('rollback')
  return report
}

/** Asks a server who it is; undefined from a standby. */
export async function readPrimary(ask: Ask): Promise<ServerIdentity | undefined> {
  const [row] = await ask(STATE_QUERY)
  return row && readState(row).server
}

async function readInTransaction(transaction: TransactionIdentity, ask: Ask): Promise<ServerReport | undefined> {
  const [row] = await ask(STATE_QUERY)
  if (!row) return undefined
  const state = readState(row)
  const [session] = await ask(sessionQuery(transaction))
  return {
    state,
    session: session && { waitEvent: session.wait_event },
    status: await askStatus(transaction, ask),
  }
}

function readState({ server: identity, next_xid, is_first }: Row): ServerState {
  const server = readServer(identity)
  const nextTransactionId = digitsIn(next_xid)
  const isFirstCheckpoint = truthIn(is_first)
  if (!server || nextTransactionId === undefined || isFirstCheckpoint === undefined)
    throw new Error('what the server says of itself makes no sense')
  return { server, nextTransactionId, isFirstCheckpoint }
}

async function askStatus(transaction: TransactionIdentity, ask: Ask): Promise<XidStatus> {
  try {
    const [row] = await ask(xidStatusQuery(transaction))
    if (row?.status === null) return null
    const status = wordIn(row?.status, ['committed', 'aborted', 'in progress'])
    if (!status) throw new Error('what the server says of the transaction makes no sense')
    return status
  } catch (error) {
    if (codeOf(error) === XID_IN_THE_FUTURE) return 'future'
    throw error
  }
}
