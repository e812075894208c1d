import type { DriverSession } from '../driver/session.ts'
import type { Clock } from '../runtime/clock.ts'
import { codeOf } from '../thrown.ts'
import { type KnownSessionDefaults, SessionFitness } from './session-fitness.ts'

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

const READ_ONLY = '25006' // read_only_sql_transaction

/**
 * Whether the server of a connection is a primary. Since PostgreSQL 14 a server reports whether it is in hot standby. After a
 * failover, a host name that has led to the primary may lead to a standby.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
 */
export class ServerRole {
  readonly #pool: KnownPrimary
  readonly #fitness: SessionFitness
  #isStandby = false

  constructor(session: DriverSession, pool: KnownPrimary, clock: Clock) {
    this.#pool = pool
    this.#fitness = new SessionFitness(session, pool.sessionDefaults, clock)
    session.onParameter((name, value) => {
      if (name === 'in_hot_standby') this.setStandby(value === 'on')
    })
  }

  /** Whether the session is broken until it ends. */
  get isUnfit(): boolean {
    return this.#fitness.isUnfit
  }

  /** Takes note of an error of the server. */
  judge(error: Error): void {
    this.#fitness.judge(error, this.#isStandby)
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
