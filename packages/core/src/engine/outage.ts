import { connectCauseOf } from '../errors.ts'
import type { Publisher } from '../telemetry/events.ts'
import { codeOf } from '../thrown.ts'

/**
 * Knows since when no connection could be opened, and publishes when one can be opened again. A server that is merely full
 * (SQLSTATE class 53) refuses and accepts in turn, so it counts as away only if the pool had no open connection meanwhile.
 */
export class Outage {
  readonly #publisher: Publisher
  #hasLostAll = false
  #since: number | undefined
  #failedAttempts = 0
  #wasAway = false

  constructor(publisher: Publisher) {
    this.#publisher = publisher
  }

  /** Every open connection was invalidated because one was lost. */
  lostAll(): void {
    this.#hasLostAll = true
  }

  /** An attempt to connect begins. After a loss the outage counts from here, since the pool didn't know of it before. */
  tries(at: number): void {
    if (this.#hasLostAll) this.#since ??= at
  }

  /** The attempt that began at `startedAt` failed. */
  failed(startedAt: number, error: unknown): void {
    this.#since ??= startedAt
    this.#failedAttempts++
    this.#wasAway ||= !codeOf(connectCauseOf(error))?.startsWith('53')
  }

  /** A connection was opened; `isOnlyOne` if the pool has no other that is open. */
  succeeded(now: number, isOnlyOne: boolean): void {
    const since = this.#since
    const failedAttempts = this.#failedAttempts
    const isRecovery = this.#wasAway || isOnlyOne
    this.#hasLostAll = false
    this.#since = undefined
    this.#failedAttempts = 0
    this.#wasAway = false
    if (since !== undefined && isRecovery)
      this.#publisher.publish({ type: 'recovered', afterMillis: now - since, failedAttempts })
  }
}
