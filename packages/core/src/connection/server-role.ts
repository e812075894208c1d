import type { DriverSession } from '../driver/session.ts'
import { READ_ONLY } from '../policy/sqlstate.ts'
import { codeOf } from '../thrown.ts'
import type { KnownSessionDefaults } from './session-fitness.ts'

/** What is known of the servers that a pool was led to, shared by its connections. */
export interface KnownPrimary {
  /** Whether one of them was a primary. */
  isFound: boolean
  /** Whether a standby has refused a write since. */
  isMissed: boolean
  /** How sessions begin. */
  readonly sessionDefaults: KnownSessionDefaults
}

/** What a pool knows before its first connection. */
export function unknownPrimary(): KnownPrimary {
  const sessionDefaults = { epoch: 0, checkedAt: Number.NEGATIVE_INFINITY, isMissed: false }
  return { isFound: false, isMissed: false, sessionDefaults }
}

/**
 * Whether the server of a connection is a primary. Since PostgreSQL 14 a server reports whether it is in hot standby. After a
 * failover, a host name that has led to the primary may lead to a standby.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
 */
export class ServerRole {
  readonly #pool: KnownPrimary
  #isStandby = false

  constructor(session: DriverSession, pool: KnownPrimary) {
    this.#pool = pool
    session.onParameter((name, value) => {
      if (name === 'in_hot_standby') this.setStandby(value === 'on')
    })
  }

  /** Whether the server accepts no writes in any session. */
  get isStandby(): boolean {
    return this.#isStandby
  }

  /** Why this connection must not be used; undefined if there is no reason. It passes when a primary is found. */
  get objection(): Error | undefined {
    if (!this.#isStandby || !this.#pool.isMissed) return undefined
    return Object.assign(new Error('the server is in hot standby, and has refused a write'), { code: '57P03' })
  }

  /** Whether this error means that the server is no longer the primary, and not that the application was wrong. */
  isPrimaryLost(error: unknown): boolean {
    return codeOf(error) === READ_ONLY && this.#isStandby && this.#pool.isFound
  }

  /** Makes new connections look for a primary. */
  missPrimary(): void {
    this.#pool.isMissed = true
  }

  setStandby(isStandby: boolean): void {
    this.#isStandby = isStandby
    if (isStandby) return
    this.#pool.isFound = true
    this.#pool.isMissed = false
  }
}
