/** What a pool knows of one of its connections. Compare it with the row of `pg_stat_activity` that has the same `pid`. */
export interface ConnectionInspection {
  /** Counts up from 1 within a pool; the echo logs this number. */
  readonly id: number
  readonly state: 'opening' | 'idle' | 'checking' | 'leased' | 'resetting' | 'closing' | 'closed'
  /** `pid` in `pg_stat_activity`. Null until the server has sent it. */
  readonly backendPid: number | null
  /** How long ago it was ready for its first lease, in milliseconds; 0 before. */
  readonly ageMillis: number
  /** How long it has been idle, in milliseconds; undefined if it isn't. */
  readonly idleMillis: number | undefined
  /** How many leases it has had, this one included. */
  readonly uses: number
  /** How long it has been leased, in milliseconds; undefined if it isn't. */
  readonly heldMillis: number | undefined
  /** Where it was acquired, as a stack; undefined if it isn't leased, or `leakDetectionMillis` is off. */
  readonly holder: string | undefined
  /** Whether something makes its death likely, so that it must answer a ping before its next lease. */
  readonly isSuspect: boolean
}

/** The facts about a connection. Times are monotonic milliseconds, and are valid only in the state that they belong to. */
export interface ConnectionFacts extends Pick<ConnectionInspection, 'id' | 'state' | 'backendPid' | 'uses'> {
  /** Undefined until it is ready for its first lease. */
  readonly openedAt: number | undefined
  readonly idleSince: number
  readonly lease: { readonly since: number; readonly holder: string | undefined }
  readonly liveness: { readonly suspect: boolean }
}

/** What is known of a connection at this moment. */
export function inspectionOf(connection: ConnectionFacts, now: number): ConnectionInspection {
  const { id, state, backendPid, openedAt, uses } = connection
  const isLeased = state === 'leased'
  return Object.freeze({
    id,
    state,
    backendPid,
    ageMillis: openedAt === undefined ? 0 : now - openedAt,
    idleMillis: state === 'idle' ? now - connection.idleSince : undefined,
    uses,
    heldMillis: isLeased ? now - connection.lease.since : undefined,
    holder: isLeased ? connection.lease.holder : undefined,
    isSuspect: connection.liveness.suspect,
  })
}
