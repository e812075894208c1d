/** A session of a client, as the server sees it. */
export interface Session {
  readonly pid: number
  readonly user: string
  readonly applicationName: string
  /** The source port of its connection, as seen by the server; -1 for a Unix socket. */
  readonly clientPort: number
  /** Null while it still logs in. */
  readonly state: SessionState | null
  /** What it runs, or ran last. */
  readonly query: string
  readonly waitEvent: string | null
  readonly startedAt: Date
}

/** The states of `pg_stat_activity`, without the exotic ones. */
export type SessionState = 'active' | 'idle' | 'idle in transaction' | 'idle in transaction (aborted)'

/** Which sessions; what is left out does not matter. */
export interface SessionFilter {
  readonly applicationName?: string
  readonly state?: SessionState
  readonly pid?: number
  readonly exceptPid?: number
}

/** The name under which a {@link Cluster} itself logs in; such sessions are never listed, counted or ended. */
export const ADMIN_APPLICATION_NAME = 'holdfast-cluster'

/** A statement with its parameters. */
export interface Statement {
  readonly text: string
  readonly values: unknown[]
}

/** Lists the sessions. Sessions that are being authenticated have no state and no application name. */
export function listSessions(filter: SessionFilter): Statement {
  const { condition, values } = where(filter)
  return {
    text: `select pid, usename as "user", application_name as "applicationName", client_port as "clientPort",
                  state, query, wait_event as "waitEvent", backend_start as "startedAt"
             from pg_stat_activity where ${condition} order by backend_start, pid`,
    values,
  }
}

/** Ends the sessions. Returns `count`: how many were signalled. */
export function terminateSessions(filter: SessionFilter): Statement {
  const { condition, values } = where(filter)
  return {
    // Materialized: which sessions are meant is decided before the first one is ended.
    text: `with victims as materialized (select pid from pg_stat_activity where ${condition})
           select count(*) filter (where pg_terminate_backend(pid))::int as count from victims`,
    values,
  }
}

function where({ applicationName, state, pid, exceptPid }: SessionFilter): { condition: string; values: unknown[] } {
  return {
    condition: `backend_type = 'client backend'
                and application_name <> $1
                and ($2::text is null or application_name = $2)
                and ($3::text is null or state = $3)
                and ($4::int is null or pid = $4)
                and ($5::int is null or pid <> $5)`,
    values: [ADMIN_APPLICATION_NAME, applicationName ?? null, state ?? null, pid ?? null, exceptPid ?? null],
  }
}

/**
 * Whether there are as many sessions as a pool has connections, by the statements that they have run last. The watch may have
 * one more, beside the pool, for a minute; if it was opened too late, it has run nothing.
 */
export function areAsMany(queries: readonly string[], total: number): boolean {
  if (queries.length !== total + 1) return queries.length === total
  return queries.some((query) => query === '' || /^select (?:asked|told)\.pid|pg_xact_status/.test(query))
}
