import type { DriverInternals } from '../driver/internals.ts'
import { keepListening } from '../driver/kept-listeners.ts'
import { factsOf } from '../policy/sqlstate.ts'
import type { Clock } from '../runtime/clock.ts'
import { codeOf, messageOf, propertyOf, textOf } from '../thrown.ts'

/** What a pool has found out about how its sessions begin. */
export interface KnownSessionDefaults {
  /** Counts how often the sessions that had begun read only were given up. */
  epoch: number
  /** When they were given up last because one of them has refused a write: the default may have been lifted. */
  checkedAt: number
  /** Whether a write was refused, and no session has begun since that takes any. */
  isMissed: boolean
}

// A default that is still in force must not cost a connection for each write that is refused.
const SHORTEST_CHECK_MILLIS = 60_000

const READ_ONLY = '25006' // read_only_sql_transaction

/**
 * Whether a session is fit for its next lease. One can be broken for a reason of its own, and stay so until it ends: its
 * caches are stale, its role was dropped, or it began with a read-only default that has been lifted since.
 */
export class SessionFitness {
  readonly #internals: DriverInternals
  readonly #births: KnownSessionDefaults
  readonly #clock: Clock
  #flaw: unknown
  /** In which epoch it began read only; undefined if it takes writes, or hasn't said. */
  #readOnlySince: number | undefined
  #hasBegun = false

  constructor(internals: DriverInternals, births: KnownSessionDefaults, clock: Clock) {
    this.#internals = internals
    this.#births = births
    this.#clock = clock
    // PostgreSQL says it before a session begins, since version 14, and then whenever the application has set it.
    keepListening(
      internals.connection,
      'parameterStatus',
      ({ parameterName, parameterValue }: { readonly parameterName: string; readonly parameterValue: string }) => {
        if (parameterName === 'default_transaction_read_only' && !this.#hasBegun) this.#begin(parameterValue === 'on')
      },
    )
  }

  /** Whether this session must not be leased again. */
  get isUnfit(): boolean {
    return this.#flaw !== undefined || (this.#readOnlySince !== undefined && this.#readOnlySince < this.#births.epoch)
  }

  /** Judges what the server has refused. `isStandby`: it takes no writes in any session. */
  judge(error: unknown, isStandby: boolean): void {
    const facts = factsOf(codeOf(error))
    if (facts.spoils?.test(`${textOf(propertyOf(error, 'routine'))}: ${messageOf(error)}`)) this.#flaw ??= error
    if (codeOf(error) !== READ_ONLY || isStandby || this.#isReadOnlyByWish) return
    if (this.#readOnlySince !== undefined) this.#check()
    // In a transaction the application may have said READ ONLY itself.
    else if (this.#internals.getTransactionStatus() === 'I') this.#flaw ??= error
  }

  /** Gives up those that began read only, to see how the next one begins. */
  #check(): void {
    const now = this.#clock.now()
    this.#births.isMissed = true
    if (now - this.#births.checkedAt < SHORTEST_CHECK_MILLIS) return
    this.#births.checkedAt = now
    this.#births.epoch++
  }

  #begin(isReadOnly: boolean): void {
    this.#hasBegun = true
    if (isReadOnly) this.#readOnlySince = this.#births.epoch
    else if (this.#births.isMissed) {
      this.#births.isMissed = false
      this.#births.epoch++
    }
  }

  get #isReadOnlyByWish(): boolean {
    return /default_transaction_read_only/.test(this.#internals.connectionParameters.options ?? '')
  }
}
