import { truthIn } from '../commit/server-report.ts'
import type { DriverSession } from '../driver/session.ts'
import type { HostRole } from '../policy/host-suitability.ts'
import { READ_ONLY } from '../policy/sqlstate.ts'
import type { Clock } from '../runtime/clock.ts'
import { codeOf } from '../thrown.ts'
import type { KnownSessionDefaults } from './session-fitness.ts'

/** What is known of the servers that a pool was led to, shared by its connections. */
export interface KnownPrimary {
  /** Whether one of them took writes. */
  isFound: boolean
  /** Since when one is missed, because a server has refused a write that it should take; undefined if none is. */
  missedSince: number | undefined
  /** Called when a standby has refused a write, and no server has taken one. */
  onRefusedByStandby?: (() => void) | undefined
  /** Counts how often one was missed. What was opened before leads to a server that takes no writes. */
  epoch: number
  /** How sessions begin. */
  readonly sessionDefaults: KnownSessionDefaults
}

/** What a pool knows before its first connection. */
export function unknownPrimary(): KnownPrimary {
  const sessionDefaults = { epoch: 0, checkedAt: Number.NEGATIVE_INFINITY, isMissed: false }
  return { isFound: false, missedSince: undefined, epoch: 0, sessionDefaults }
}

/**
 * Where a session's read-only default comes from, if the server as a whole is read only: not from the role, the session or its
 * options, which are the application's own doing.
 */
const SOURCES_OF_SERVER: ReadonlySet<unknown> = new Set([
  'configuration file',
  'command line',
  'environment variable',
  'database',
  'global',
])

/** Asks whether the server takes writes, and by whose setting it doesn't. */
export const ROLE_QUESTION = `select pg_catalog.pg_is_in_recovery()::text as in_recovery, s.setting as read_only, s.source
  from pg_catalog.pg_settings s where s.name = 'default_transaction_read_only'`

/** What a server is that takes no writes in any session. */
export type Unwritable = 'in hot standby' | 'read only'

/** Reads the answer to {@link ROLE_QUESTION}; undefined if the server takes writes. */
export function unwritableBy(row: Readonly<Record<string, unknown>> | undefined): Unwritable | undefined {
  if (truthIn(row?.in_recovery) === true) return 'in hot standby'
  return row?.read_only === 'on' && SOURCES_OF_SERVER.has(row.source) ? 'read only' : undefined
}

/**
 * Whether the server of a connection takes writes. A host name that has led to the primary may lead to a standby after a
 * failover, and a server may be set read only as a whole. Since PostgreSQL 14 a server reports both; a pooler may report what
 * was true long ago.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
 */
export class ServerRole {
  readonly #pool: KnownPrimary
  readonly #clock: Clock
  #isStandby = false
  #isReported = false
  #isReadOnly = false
  #epoch = 0
  /** The write that was refused, when the server was asked: it takes none. */
  #refusedWrite: unknown

  constructor(session: DriverSession, pool: KnownPrimary, clock: Clock) {
    this.#pool = pool
    this.#clock = clock
    session.onParameter((name, value) => {
      if (name === 'in_hot_standby') {
        this.#isReported = true
        this.#isStandby = value === 'on'
      }
      if (name === 'default_transaction_read_only') this.#isReadOnly = value === 'on'
    })
    if (pool.onRefusedByStandby)
      session.onServerError((error) => {
        if (this.#isStandby && !pool.isFound && codeOf(error) === READ_ONLY) pool.onRefusedByStandby?.()
      })
  }

  /** Whether the server accepts no writes in any session, as it has reported. */
  get isStandby(): boolean {
    return this.#isStandby
  }

  /** What the server is, as it has reported, or has answered; undefined if it has done neither. */
  get role(): HostRole | undefined {
    if (!this.#isReported) return undefined
    if (this.#isStandby) return 'standby'
    return this.#isReadOnly ? 'read-only' : 'primary'
  }

  /** Reads the answer to {@link ROLE_QUESTION}: a pooler may have reported what was true long ago. */
  learn(row: Readonly<Record<string, unknown>> | undefined): void {
    if (!row) return
    this.#isReported = true
    this.#isStandby = truthIn(row.in_recovery) === true
    this.#isReadOnly = row.read_only === 'on'
  }

  /** Whether it was opened before a primary was missed. */
  get isOutdated(): boolean {
    return this.#epoch < this.#pool.epoch
  }

  /** Whether a new connection must be asked for its role. */
  get mustBeAsked(): boolean {
    return this.#pool.missedSince !== undefined
  }

  /** The connection is logged in, and may be used. */
  begin(): void {
    this.#epoch = this.#pool.epoch
    if (this.#isReported && !this.#isStandby && !this.#isReadOnly) this.#pool.isFound = true
  }

  /** A write was accepted. */
  noteWrite(): void {
    this.#pool.isFound = true
  }

  /** Whether this error means that the server is no longer the primary, and not that the application was wrong. */
  isPrimaryLost(error: unknown): boolean {
    return codeOf(error) === READ_ONLY && this.#isStandby && this.#pool.isFound
  }

  /** Whether the server must be asked what this error means. */
  isInDoubt(error: unknown): boolean {
    return codeOf(error) === READ_ONLY && this.#pool.isFound && !this.#isStandby
  }

  /** Whether the server was asked after it had refused this write, and takes none. */
  hasRefused(error: unknown): boolean {
    return error !== undefined && error === this.#refusedWrite
  }

  /**
   * The server has refused this write, as it would any. New connections look for one that takes writes. What was opened since
   * then isn't concerned by an old connection that finds out late.
   */
  missPrimary(refusedWrite?: unknown): void {
    this.#refusedWrite = refusedWrite
    if (this.isOutdated) return
    this.#pool.missedSince ??= this.#clock.now()
    this.#pool.epoch++
  }

  /**
   * A new connection was asked while a primary is missed. Returns why it must not be used; undefined if it takes writes, or if
   * the server has been read only for longer than callers wait: then it serves those that read.
   */
  judge(found: Unwritable | undefined, patienceMillis: number): Error | undefined {
    this.#isStandby = found === 'in hot standby'
    const missedMillis = this.#clock.now() - (this.#pool.missedSince ?? this.#clock.now())
    const isGivenUp = found === 'read only' && missedMillis >= patienceMillis
    if (found && !isGivenUp)
      return Object.assign(new Error(`the server is ${found}, and has refused a write`), { code: '57P03' })
    this.#pool.isFound = !found
    this.#pool.missedSince = undefined
    return undefined
  }
}
