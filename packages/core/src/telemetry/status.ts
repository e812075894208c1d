import type { LeaseUse, PoolCounts } from '../errors.ts'
import type { BudgetStatus } from '../policy/budget-share.ts'
import type { HostRole } from '../policy/host-suitability.ts'
import type { PoolerKind } from '../policy/pooler.ts'

/** What a server says of a statement that takes long. */
export interface SlowStatement {
  /** How long ago the server last sent a byte, in milliseconds, when it was asked. */
  readonly silentMillis: number
  /** What it waits for, as in `pg_stat_activity`; null if it is at work. */
  readonly waitEventType: string | null
  readonly waitEvent: string | null
  /** The pids of the sessions that hold the lock that it waits for. */
  readonly blockedBy: readonly number[]
}

/** What a pool knows of one of its connections. Compare it with the row of `pg_stat_activity` that has the same `pid`. */
export interface ConnectionInspection {
  /** Counts up from 1 within a pool; the echo logs this number. */
  readonly id: number
  readonly state: 'opening' | 'idle' | 'checking' | 'leased' | 'resetting' | 'closing' | 'closed' | 'listening'
  /** The channels that it listens to, if it is the connection of `pool.listen()`, which takes no slot; otherwise undefined. */
  readonly channels: readonly string[] | undefined
  /** `pid` in `pg_stat_activity`. Null until the server has sent it. */
  readonly backendPid: number | null
  /** Where it leads to: a name, an address, or the directory of a Unix socket. */
  readonly host: string
  readonly port: number
  /** What the server has said it is: since PostgreSQL 14 it does so by itself. Undefined if it hasn't. */
  readonly role: HostRole | undefined
  /**
   * Whether it leads straight to the server, so that `backendPid` is that of the server. False behind a pooler; undefined as long as
   * nothing has shown it.
   */
  readonly isDirect: boolean | undefined
  /** How long ago it was ready for its first lease, in milliseconds; 0 before. */
  readonly ageMillis: number
  /** How long it has been idle, in milliseconds; undefined if it isn't. */
  readonly idleMillis: number | undefined
  /** How many leases it has had, this one included. */
  readonly uses: number
  /** How long it has been leased, in milliseconds; undefined if it isn't. */
  readonly heldMillis: number | undefined
  /** What the option `label` of its lease says; undefined if it isn't leased, or has none. */
  readonly label: string | undefined
  /**
   * The statement that runs: its text without literals, numbers and comments, and cut. Undefined if none does, or the text isn't known.
   */
  readonly statement: string | undefined
  /** Whether its lease has a transaction open, or a failed one; otherwise undefined. */
  readonly transaction: 'open' | 'failed' | undefined
  /** Where it was acquired, as a stack; undefined if it isn't leased, or `leakDetectionMillis` is off. */
  readonly holder: string | undefined
  /** Whether something makes its death likely, so that it must answer a ping before its next lease. */
  readonly isSuspect: boolean
  /** What the server says of its statement, if that has been silent for long (option `watch`); otherwise undefined. */
  readonly slow: SlowStatement | undefined
  /** Which part of the budget it is, from 1 to `total`; undefined if the pool shares none. */
  readonly budgetSlot: number | undefined
}

/** The facts about a connection. Times are monotonic milliseconds, and are valid only in the state that they belong to. */
export interface ConnectionFacts extends Pick<ConnectionInspection, 'id' | 'backendPid' | 'uses'> {
  readonly state: Exclude<ConnectionInspection['state'], 'listening'>
  readonly endpoint: { readonly host: string; readonly port: number }
  readonly session: { readonly isDirect: boolean | undefined }
  readonly serverRole: { readonly role: HostRole | undefined }
  /** Undefined until it is ready for its first lease. */
  readonly openedAt: number | undefined
  readonly idleSince: number
  readonly lease: {
    readonly since: number
    readonly stack: string | undefined
  }
  readonly statements: { readonly use: LeaseUse }
  readonly liveness: { readonly suspect: boolean; readonly slow: SlowStatement | undefined }
}

const NO_USE: LeaseUse = { label: undefined, statement: undefined, transaction: undefined }

/** What is known of a connection at this moment. */
export function inspectionOf(connection: ConnectionFacts, now: number, budgetSlot?: number): ConnectionInspection {
  const { id, state, backendPid, openedAt, uses } = connection
  const isLeased = state === 'leased'
  return Object.freeze({
    id,
    state,
    channels: undefined,
    backendPid,
    host: connection.endpoint.host,
    port: connection.endpoint.port,
    role: connection.serverRole.role,
    isDirect: connection.session.isDirect,
    ageMillis: openedAt === undefined ? 0 : now - openedAt,
    idleMillis: state === 'idle' ? now - connection.idleSince : undefined,
    uses,
    heldMillis: isLeased ? now - connection.lease.since : undefined,
    ...(isLeased ? connection.statements.use : NO_USE),
    holder: isLeased ? connection.lease.stack : undefined,
    isSuspect: connection.liveness.suspect,
    slow: isLeased ? connection.liveness.slow : undefined,
    budgetSlot,
  })
}

/** What a pool knows of one of its hosts. */
export interface HostStatus {
  readonly host: string | undefined
  readonly port: number | undefined
  /** The role in which it was seen last; undefined if it has told none. */
  readonly role: HostRole | undefined
  /** Why it couldn't be used when it was last tried; undefined if it could, or was never tried. */
  readonly failure: string | undefined
  /** How long ago it was last tried, in milliseconds; undefined if it never was. */
  readonly triedMillis: number | undefined
}

/** The counts of a pool at one moment. As text, `${pool.status()}`, it is the line of SQLAlchemy's `Pool.status()`. */
export interface PoolStatus extends PoolCounts {
  /** The option `name`. */
  readonly name: string
  /** The process that the pool is in. */
  readonly pid: number
  /** The option `maxIdle`. */
  readonly maxIdle: number
  /** Slots taken: `leased`, `idle`, `opening`, `checking` and `resetting` together. */
  readonly size: number
  /** Connections beside these, which listen (`pool.listen()`): 0 or 1. */
  readonly listening: number
  /** `end()` was called. */
  readonly isClosed: boolean
  /**
   * What is in front of the server: `none`; a pooler that gives each connection (`session`) or each transaction (`transaction`) a
   * session of the server; `some` pooler, which may do either; `unknown`, as long as nothing has shown it. See the option `pooler`.
   */
  readonly pooler: PoolerKind
  /** What is known of the budget, if the pool shares one; otherwise undefined. */
  readonly budget?: BudgetStatus | undefined
  /** What is known of each host, if the pool has several; otherwise undefined. */
  readonly hosts?: readonly HostStatus[] | undefined
  /** `Pool size: 5  Connections in pool: 1 Current Overflow: -3 Current Checked out connections: 1` */
  toString(): string
}

/** The facts in a status, in the order in which they are shown. */
export type StatusFacts = Omit<PoolStatus, 'toString'>

/** Makes a status of these facts. */
export function statusOf(facts: StatusFacts): PoolStatus {
  return Object.freeze(Object.assign(new Status(), facts))
}

/** What a status can do; its facts are assigned. */
class Status {
  static {
    // For util.inspect, minified or not.
    Object.defineProperty(Status, 'name', { value: 'PoolStatus' })
  }

  /** Like SQLAlchemy, counts as overflow the connections beyond those that it would keep. */
  toString(this: StatusFacts): string {
    const { maxIdle, idle, size, leased, hosts } = this
    const states = hosts?.map((each) => `${nameOfHost(each)} ${stateOfHost(each)}`).join(', ')
    return `Pool size: ${maxIdle}  Connections in pool: ${idle} Current Overflow: ${size - maxIdle} Current Checked out connections: ${leased}${states ? `  Hosts: ${states}` : ''}`
  }
}

/** A host with its port, as in a URL. */
export function nameOfHost({ host, port }: Pick<HostStatus, 'host' | 'port'>): string {
  return host?.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** What is known of a host, in words. */
export function stateOfHost({ role, failure }: Pick<HostStatus, 'role' | 'failure'>): string {
  if (failure !== undefined) return `(${failure})`
  return role === undefined ? '(not known)' : role
}
