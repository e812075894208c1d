import { digitsIn, numberIn, type Row, truthIn } from '../commit/server-report.ts'

// A look: one question to the server about all silent sessions, and the strict reader of its answer.

/** So much of a text tells it from another one. */
const SHOWN_CHARACTERS = 200

/** A session, as the server knows it. Times are microseconds since 1970, by the server's clock. */
export interface SeenSession {
  readonly backendStart: number
  readonly state: string
  /** What it waits for, as in `pg_stat_activity`; null if it waits for nothing. */
  readonly waitEventType: string | null
  readonly waitEvent: string | null
  /** When its present statement began, or its last one. */
  readonly queryStart: number | undefined
  readonly stateChange: number
  /** 64 bits, as text; undefined if its transaction has no id. */
  readonly transactionId: string | undefined
  /** The beginning of the statement that it has received last. */
  readonly query: string
  /** The pids of the sessions that hold the lock that it waits for. */
  readonly blockedBy: readonly number[]
}

/** What a look shows of one session: no such process; nothing, since the role may not see it; or the session. */
export type SessionSight = 'gone' | 'hidden' | SeenSession

/** Which server it is, and since when it has known its transactions. In microseconds since 1970. */
export interface ServerLife {
  /** When the server was started. It identifies the server. */
  readonly serverStart: number
  /** When its statistics began: they begin again after a crash, also after one that the postmaster survives. */
  readonly statisticsStart: number
}

/** The answer to one look. */
export interface Look extends ServerLife {
  /** The time of the server, in microseconds since 1970. */
  readonly now: number
  /** By pid. */
  readonly sessions: ReadonlyMap<number, SessionSight>
}

/** Which server a session is on, and which process serves it. Known only of sessions that lead straight to a server. */
export interface SessionIdentity {
  readonly backendPid: number
  readonly backendStart: number
  readonly serverStart: number
}

/**
 * Asks a session who it is. Behind a pooler the pid isn't the one that the protocol names.
 *
 * @see https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
 */
export function identityQuery(alsoSelected = ''): string {
  return `select pg_catalog.pg_backend_pid()::text as pid,
  ${microseconds('backend_start')} as backend_start,
  ${microseconds('pg_catalog.pg_postmaster_start_time()')} as server_start,
  ${microseconds('pg_catalog.clock_timestamp()')} as now${alsoSelected}
  from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())`
}

/** Who a session is, and the server's clock at that moment. Undefined if the answer makes no sense. */
export function readIdentity(rows: readonly Row[]): (SessionIdentity & { readonly now: number }) | undefined {
  const [row] = rows
  const backendPid = numberIn(row?.pid)
  const backendStart = timeIn(row?.backend_start)
  const serverStart = timeIn(row?.server_start)
  const now = timeIn(row?.now)
  if (backendPid === undefined || backendStart === undefined || serverStart === undefined || now === undefined)
    return undefined
  return { backendPid, backendStart, serverStart, now }
}

const SESSION = `s.state, s.wait_event_type, s.wait_event, s.backend_xid::text as xid,
  pg_catalog.substr(s.query, 1, ${SHOWN_CHARACTERS}) as query,
  ${microseconds('s.query_start')} as query_start, ${microseconds('s.state_change')} as state_change,
  ${microseconds('s.backend_start')} as backend_start`
const SERVER = `${microseconds('pg_catalog.clock_timestamp()')} as now,
  ${microseconds('pg_catalog.pg_postmaster_start_time()')} as server_start,
  ${microseconds('pg_catalog.pg_stat_get_bgwriter_stat_reset_time()')} as statistics_start,
  pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text as next_xid`

/** Asks what the server knows of these sessions: one row for each. */
export function lookQuery(pids: Iterable<number>): string {
  const asked = [...pids].map((pid) => `(${pid})`).join(', ')
  return `select asked.pid::text as asked, (s.pid is not null)::text as is_there, ${SESSION}, ${SERVER},
  case when s.wait_event_type = 'Lock' then pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(s.pid), ' ') end as blocked_by
  from (values ${asked}) as asked(pid) left join pg_catalog.pg_stat_activity s on s.pid = asked.pid`
}

/**
 * Terminates a session if it is still the same, and then looks at it once more. The order matters: a session that was told to
 * terminate begins no statement, and ends no transaction. So what this sees of a session that hasn't moved is final.
 */
export function fenceQuery({ backendPid, backendStart }: SessionIdentity): string {
  return `select told.pid::text as asked, told.done::text as is_there, ${SESSION}, ${SERVER}, null as blocked_by
  from (select a.pid, pg_catalog.pg_terminate_backend(a.pid) as done from pg_catalog.pg_stat_activity a
    where a.pid = ${backendPid} and ${microseconds('a.backend_start')} = '${backendStart}' offset 0) told
  cross join lateral (select told.done and pg_catalog.pg_stat_clear_snapshot()::text is not null as done offset 0) cleared
  left join lateral pg_catalog.pg_stat_get_activity(case when cleared.done then told.pid end) s on true`
}

/** Asks what became of a transaction, on this server, if that hasn't crashed since. No row: it has, or is another one. */
export function outcomeQuery(transactionId: string, { serverStart, statisticsStart }: ServerLife): string {
  return `select pg_catalog.pg_xact_status('${transactionId}'::xid8) as status
  where ${microseconds('pg_catalog.pg_postmaster_start_time()')} = '${serverStart}'
  and ${microseconds('pg_catalog.pg_stat_get_bgwriter_stat_reset_time()')} = '${statisticsStart}'`
}

/** Reads the answer to a look. Undefined if it makes no sense: such an answer proves nothing. */
export function readLook(rows: readonly Row[]): Look | undefined {
  const [first] = rows
  const now = timeIn(first?.now)
  const serverStart = timeIn(first?.server_start)
  const statisticsStart = timeIn(first?.statistics_start)
  if (now === undefined || serverStart === undefined || statisticsStart === undefined) return undefined
  const sessions = new Map<number, SessionSight>()
  for (const row of rows) {
    const pid = numberIn(digitsIn(row.asked))
    const sight = readSight(row)
    if (pid === undefined || sight === undefined) return undefined
    sessions.set(pid, sight)
  }
  return { now, serverStart, statisticsStart, sessions }
}

function readSight(row: Row): SessionSight | undefined {
  const isThere = truthIn(row.is_there)
  if (isThere === undefined) return undefined
  if (!isThere) return 'gone'
  const { state } = row
  // Null: the role may not see it, or it is no session of a client. Disabled: `track_activities` is off.
  if (state === null || state === 'disabled') return 'hidden'
  const backendStart = timeIn(row.backend_start)
  const stateChange = timeIn(row.state_change)
  if (typeof state !== 'string' || backendStart === undefined || stateChange === undefined) return undefined
  return {
    backendStart,
    state,
    waitEventType: textIn(row.wait_event_type),
    waitEvent: textIn(row.wait_event),
    queryStart: timeIn(row.query_start),
    stateChange,
    transactionId: fullXid(row.xid, row.next_xid),
    query: textIn(row.query) ?? '',
    blockedBy: (textIn(row.blocked_by) ?? '').split(' ').flatMap((pid) => numberIn(digitsIn(pid)) ?? []),
  }
}

/** The 64 bits of a transaction's id: the server shows the last 32, and which id it will assign next. */
function fullXid(xid: unknown, next: unknown): string | undefined {
  const [short, following] = [digitsIn(xid), digitsIn(next)]
  if (short === undefined || following === undefined) return undefined
  const epoch = BigInt(following) >> 32n
  const full = (epoch << 32n) | BigInt(short)
  const inThisEpoch = full <= BigInt(following)
  if (!inThisEpoch && epoch === 0n) return undefined
  return String(inThisEpoch ? full : full - (1n << 32n))
}

/** Microseconds since 1970, which a number holds exactly until the year 2255. */
function timeIn(value: unknown): number | undefined {
  const digits = digitsIn(value)
  const time = digits === undefined ? Number.NaN : Number(digits)
  return Number.isSafeInteger(time) ? time : undefined
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function microseconds(time: string): string {
  return `(extract(epoch from ${time}) * 1000000)::bigint::text`
}
