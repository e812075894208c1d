import type { DriverSession } from '../driver/session.ts'
import { factsOf, READ_ONLY } from '../policy/sqlstate.ts'
import type { Clock } from '../runtime/clock.ts'
import { codeOf, messageOf, propertyOf, textOf } from '../thrown.ts'

/** What is known of how sessions begin, shared by the connections of a pool. */
export interface KnownSessionDefaults {
  /** Counts how often the sessions that had begun read only were given up. */
  epoch: number
  /** When they were last given up because one of them had refused a write: the default may have been changed since. */
  checkedAt: number
  /** Whether a write was refused, and no session that accepts writes has begun since. */
  isMissed: boolean
}

// While the default is still read only, not each refused write may cost a connection.
const SHORTEST_CHECK_MILLIS = 60_000

/**
 * Whether a session may be leased again. A session can be broken until it ends, for a reason of its own: its caches are stale,
 * its role was dropped, or it began with a read-only default that was changed since.
 */
export class SessionFitness {
  readonly #session: DriverSession
  readonly #pool: KnownSessionDefaults
  readonly #clock: Clock
  #defect: unknown
  /** In which epoch it began read only; undefined if it accepts writes, or the server hasn't reported it. */
  #readOnlySince: number | undefined
  #hasBegun = false
  /** Whether the application, or its `onConnect`, has set the session read only. */
  #isReadOnlyByApplication = false

  constructor(session: DriverSession, pool: KnownSessionDefaults, clock: Clock) {
    this.#session = session
    this.#pool = pool
    this.#clock = clock
    // Since version 14, PostgreSQL reports it before a session begins, and again whenever the application sets it.
    session.onParameter((name, value) => {
      if (name !== 'default_transaction_read_only') return
      if (this.#hasBegun) this.#isReadOnlyByApplication = value === 'on'
      else this.#begin(value === 'on')
    })
  }

  get isUnfit(): boolean {
    return this.#defect !== undefined || (this.#readOnlySince !== undefined && this.#readOnlySince < this.#pool.epoch)
  }

  /** Takes note of an error of the server. `isStandby`: the server accepts no writes in any session. */
  judge(error: unknown, isStandby: boolean): void {
    const facts = factsOf(codeOf(error))
    if (facts.spoils?.test(`${textOf(propertyOf(error, 'routine'))}: ${messageOf(error)}`)) this.#defect ??= error
    if (codeOf(error) !== READ_ONLY || isStandby) return
    if (this.#isReadOnlyByOption || this.#isReadOnlyByApplication) return
    if (this.#readOnlySince !== undefined) this.#giveUpReadOnly()
    // In a transaction, the application may have set READ ONLY itself.
    else if (this.#session.transactionStatus === 'I') this.#defect ??= error
  }

  /** Gives up all sessions that began read only. The next session shows whether the default is still the same. */
  #giveUpReadOnly(): void {
    const now = this.#clock.now()
    this.#pool.isMissed = true
    if (now - this.#pool.checkedAt < SHORTEST_CHECK_MILLIS) return
    this.#pool.checkedAt = now
    this.#pool.epoch++
  }

  #begin(isReadOnly: boolean): void {
    this.#hasBegun = true
    if (isReadOnly) this.#readOnlySince = this.#pool.epoch
    else if (this.#pool.isMissed) {
      this.#pool.isMissed = false
      this.#pool.epoch++
    }
  }

  get #isReadOnlyByOption(): boolean {
    return /default_transaction_read_only/.test(this.#session.startupOptions)
  }
}
