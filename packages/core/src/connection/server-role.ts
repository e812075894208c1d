import type { DriverInternals } from '../driver/internals.ts'
import { keepListening } from '../driver/kept-listeners.ts'
import type { Clock } from '../runtime/clock.ts'
import { codeOf } from '../thrown.ts'
import { type KnownSessionDefaults, SessionFitness } from './session-fitness.ts'

/** What the server says of one of its settings. */
interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}

/** What a pool has found out about the servers that it was led to. */
export interface KnownPrimary {
  /** Whether any of them took writes. */
  wasMet: boolean
  /** Whether one that takes none has refused one since. */
  isMissed: boolean
  /** How sessions begin. */
  readonly births: KnownSessionDefaults
}

const READ_ONLY = '25006' // read_only_sql_transaction

/**
 * Whether the server of a connection takes writes. It says by itself, since PostgreSQL 14, whether it is in hot standby: a
 * name that has led to the primary may lead there after a failover.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
 */
export class ServerRole {
  readonly #pool: KnownPrimary
  readonly #fitness: SessionFitness
  #isStandby = false

  constructor(internals: DriverInternals, pool: KnownPrimary, clock: Clock) {
    const { connection } = internals
    this.#pool = pool
    this.#fitness = new SessionFitness(internals, pool.births, clock)
    keepListening(connection, 'parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (parameterName === 'in_hot_standby') this.note(parameterValue === 'on')
    })
  }

  /** Whether the session is broken until it ends. */
  get isUnfit(): boolean {
    return this.#fitness.isUnfit
  }

  /** Judges what the server has refused. */
  judge(error: Error): void {
    this.#fitness.judge(error, this.#isStandby)
  }

  /** Why nobody should be given this connection; undefined if there is no reason. It passes when a primary is found. */
  get objection(): Error | undefined {
    if (!this.#isStandby || !this.#pool.isMissed) return undefined
    return Object.assign(new Error('the server is in hot standby, and has refused a write'), { code: '57P03' })
  }

  /** Whether this error of the server means that it is no primary any more, and not that the application was wrong. */
  hasLostPrimary(error: unknown): boolean {
    if (codeOf(error) !== READ_ONLY || !this.#isStandby || !this.#pool.wasMet) return false
    this.#pool.isMissed = true
    return true
  }

  /** What the server is found to be. */
  note(isStandby: boolean): void {
    this.#isStandby = isStandby
    if (isStandby) return
    this.#pool.wasMet = true
    this.#pool.isMissed = false
  }
}
