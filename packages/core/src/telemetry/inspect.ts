/** What a pool knows of one of its connections, to be held against the row of `pg_stat_activity` with that `pid`. */
export interface ConnectionInspection {
  /** Counts up from 1 within a pool; the number in the echo's lines. */
  readonly id: number
  readonly state: 'opening' | 'idle' | 'checking' | 'leased' | 'resetting' | 'closing' | 'closed'
  /** `pid` in `pg_stat_activity`. Null until the server has told it. */
  readonly backendPid: number | null
  /** Since it was ready for its first lease, in milliseconds; 0 before. */
  readonly ageMillis: number
  /** For how long it has been idle, in milliseconds; undefined if it isn't. */
  readonly idleMillis: number | undefined
  /** How many leases it has seen, this one included. */
  readonly uses: number
  /** For how long it has been leased, in milliseconds; undefined if it isn't. */
  readonly heldMillis: number | undefined
  /** Where it was acquired, as a stack; undefined if it isn't leased, or `leakDetectionMillis` is off. */
  readonly holder: string | undefined
  /** Whether something happened that makes its death likely: it must answer a ping before its next lease. */
  readonly isSuspect: boolean
}

/** What there is to know of a connection. Points in time are monotonic milliseconds, and mean nothing in other states. */
export interface ConnectionFacts extends Pick<ConnectionInspection, 'id' | 'state' | 'backendPid' | 'uses'> {
  /** Undefined until it has been ready for its first lease. */
  readonly openedAt: number | undefined
  readonly idleSince: number
  readonly lease: { readonly since: number; readonly holder: string | undefined }
  readonly liveness: { readonly suspect: boolean }
}

/** Tells what is known of a connection at this moment. */
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
