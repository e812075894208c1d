import type { Connection } from '../connection/connection.ts'
import { LoginProgress } from '../driver/login-progress.ts'
import { ConnectError, noAnswer } from '../errors.ts'
import { longestLoginMillis, silenceMillis } from '../policy/backoff.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/clock.ts'

/** How many times a login is looked at until it counts as silent. */
const LOOKS = 8

/** The time of logins. */
export interface LoginTimes {
  readonly clock: Clock
  /** How long callers wait; `Infinity` for no limit. */
  readonly deadlineMillis: number
  /** Whether a caller waits for a connection. */
  readonly isWanted: () => boolean
  /** Whether another login may begin beside a silent one. */
  readonly maySpareOne: boolean
  /** How long one may be silent until another host is tried; undefined for a single one. */
  readonly hostPatienceMillis?: number | undefined
}

/** One login: how long it takes, and how long the server has been silent. */
export class Login {
  readonly connection: Connection
  readonly #times: LoginTimes
  readonly #progress: LoginProgress
  readonly #startedAt: number
  #silentSince: number
  #cancelLook: Cancel | undefined

  constructor(connection: Connection, times: LoginTimes) {
    const now = times.clock.now()
    connection.startedAt = now
    this.connection = connection
    this.#times = times
    this.#progress = new LoginProgress(connection.client)
    this.#startedAt = now
    this.#silentSince = now
  }

  /** Whether its socket isn't connected. */
  get isUnreached(): boolean {
    return this.#progress.stage === 'unreached'
  }

  /** Whether it has taken longer than a caller could wait; or no caller waits, and the server is silent. */
  get isTooLong(): boolean {
    const { clock, deadlineMillis, isWanted, maySpareOne } = this.#times
    const wanted = isWanted()
    if (deadlineMillis === Number.POSITIVE_INFINITY && wanted) return false
    const longest = longestLoginMillis(this.#progress.stage, deadlineMillis, wanted && maySpareOne)
    return clock.now() - this.#startedAt >= longest
  }

  /** Looks whether data has arrived. Returns whether the server has been silent for too long, after so many failed spares. */
  checkSilence(failedSpares: number): boolean {
    const now = this.#times.clock.now()
    if (this.#progress.update()) this.#silentSince = now
    return now - this.#silentSince >= this.#allowedMillis(failedSpares)
  }

  /** Counts the silence from now on. */
  restartSilence(): void {
    this.#silentSince = this.#times.clock.now()
  }

  /** Calls `look` after a part of the time that the server may be silent. */
  lookLater(failedSpares: number, look: () => void): void {
    const { clock, deadlineMillis, hostPatienceMillis } = this.#times
    const allowed = this.#allowedMillis(failedSpares)
    const silent = clock.now() - this.#silentSince
    const due = silent < allowed ? Math.min(allowed - silent, allowed / LOOKS) : allowed
    // Not much later than that: meanwhile the last waiter may have left, and with it the reason to go on.
    const pause = Math.min(due, silenceMillis(this.#progress.stage, deadlineMillis, 0, hostPatienceMillis))
    this.stopLooking()
    this.#cancelLook = afterPatience(clock, Math.ceil(pause), 'nothing', look)
  }

  stopLooking(): void {
    this.#cancelLook?.()
  }

  /** The error of a login without an answer. */
  noAnswer(): ConnectError {
    return new ConnectError(this.connection.endpoint, noAnswer(this.#times.clock.now() - this.#startedAt))
  }

  #allowedMillis(failedSpares: number): number {
    const { deadlineMillis, hostPatienceMillis } = this.#times
    // The failures of other hosts say nothing of this one.
    const inVain = hostPatienceMillis === undefined ? failedSpares : 0
    return silenceMillis(this.#progress.stage, deadlineMillis, inVain, hostPatienceMillis)
  }
}
