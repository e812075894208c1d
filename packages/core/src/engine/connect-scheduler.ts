import type { AsyncResource } from 'node:async_hooks'
import pRetry from 'p-retry'
import { ConnectError, connectCauseOf, copyOf } from '../errors.ts'
import { FIRST_PACE, HOSTS_PAUSE_MILLIS, pauseMillis, quickened, UNPACED } from '../policy/backoff.ts'
import { refusalOf } from '../policy/classify-error.ts'
import { mayConnectAgain } from '../policy/retry.ts'
import { onAbort } from '../runtime/abort.ts'
import { inNoContext } from '../runtime/context.ts'
import type { Publisher } from '../telemetry/events.ts'
import { codeOf, isInstance } from '../thrown.ts'
import type { EngineContext } from './engine-context.ts'
import type { WaitQueue } from './wait-queue.ts'

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

/**
 * Opens connections when more are needed than there are. While the server is away, one opening retries and the others wait
 * for it. Once the server is back, the number of openings under way doubles with each success.
 */
export class ConnectScheduler {
  readonly #engine: EngineContext
  readonly #waitQueue: WaitQueue
  #pace = UNPACED
  #underWay = 0
  /** The opening that retries while the server is away. */
  #retrying: AbortController | undefined
  #hasConnected = false
  #lastFailure: unknown

  constructor(engine: EngineContext, waitQueue: WaitQueue) {
    this.#engine = engine
    this.#waitQueue = waitQueue
  }

  /** Openings under way, also one that pauses before it retries. */
  get underWay(): number {
    return this.#underWay
  }

  /** Why the last opening failed; undefined once one has succeeded. */
  get lastFailure(): unknown {
    return this.#lastFailure
  }

  /** Opens up to `count` more connections, as far as the pace allows; on behalf of one caller if there is one. */
  open(count: number, opener?: AsyncResource): void {
    if (this.#retrying) return
    const allowed = Math.min(count, this.#pace - this.#underWay)
    for (let started = 0; started < allowed; started++) inNoContext(() => this.#start(opener))
  }

  /** The server may have restarted: opens one connection at first, then more with each success. */
  slowDown(): void {
    this.#pace = FIRST_PACE
  }

  /** No waiter is left. An opening that is connecting just now goes on, and its connection joins the pool. */
  stopRetrying(): void {
    this.#retrying?.abort()
    this.#retrying = undefined
  }

  #start(opener: AsyncResource | undefined): void {
    this.#underWay++
    const opening = new AbortController()
    // The first try is on behalf of the opener, a retry on behalf of all.
    pRetry((number) => this.#open(opening, number === 1 ? opener : undefined), {
      retries: (this.#engine.options.connectRetry || { retries: 0 }).retries,
      minTimeout: 0, // The pause depends on the failure, so it is made by `shouldRetry`.
      signal: opening.signal,
      shouldRetry: ({ error, retriesConsumed }) => this.#pause(opening, error, retriesConsumed + 1),
    })
      .catch((error: Error) => this.#failed(opening, error))
      .finally(() => {
        this.#underWay--
        if (this.#retrying === opening) this.#retrying = undefined
        this.#engine.onOpeningEnded()
      })
  }

  async #open(opening: AbortController, opener: AsyncResource | undefined): Promise<void> {
    const { inventory, options } = this.#engine
    // Another opening may have taken the slot while this one paused. Let that one continue.
    if (this.#retrying === opening && inventory.size >= options.max) return
    let hasJoined: boolean
    try {
      hasJoined = await this.#engine.openConnection(opener)
    } catch (error) {
      this.#lastFailure = error
      // Decided here and not in `shouldRetry`, so that no other opening takes the slot before p-retry asks.
      if (this.#mayRetry(opening, error)) this.#beginRetrying(opening)
      else if (this.#retrying === opening) this.#retrying = undefined
      throw error
    }
    if (!hasJoined) return
    this.#hasConnected = true
    this.#lastFailure = undefined
    this.#pace = quickened(this.#pace, options.max)
  }

  /** Waits before it tries again, unless no waiter is left. Resolves with false if this opening doesn't retry. */
  async #pause(opening: AbortController, error: Error, failures: number): Promise<boolean> {
    const { clock, options, connector } = this.#engine
    if (this.#retrying !== opening || options.connectRetry === false) return false
    const { hosts } = connector
    const isRefused = hosts !== undefined || refusalOf(connectCauseOf(error)) !== undefined
    const longest = hosts && HOSTS_PAUSE_MILLIS
    const millis = pauseMillis(options.connectRetry, failures, isRefused, clock.random(), longest)
    await new Promise<void>((resolve) => {
      const cancelPause = clock.schedule(millis, goOn, 'process')
      const cancelAbort = onAbort(opening.signal, goOn)
      function goOn(): void {
        cancelPause()
        cancelAbort()
        resolve()
      }
    })
    return true
  }

  /** The first opening that fails is the one that retries; others that fail leave the server alone. */
  #mayRetry(opening: AbortController, error: unknown): boolean {
    if (this.#retrying && this.#retrying !== opening) return false
    if (opening.signal.aborted || this.#engine.options.connectRetry === false) return false
    if (!this.#engine.isOpeningWanted()) return false
    return mayConnectAgain(connectCauseOf(error), this.#hasConnected) || this.#doOthersServe(error)
  }

  /** The server refuses one connection more, and others work: they serve the waiters, one after the other. */
  #doOthersServe(error: unknown): boolean {
    return this.#engine.inventory.openCount > 0 && isInstance(error, ConnectError)
  }

  #beginRetrying(opening: AbortController): void {
    this.#retrying = opening
    this.slowDown()
    this.#engine.onOpeningEnded() // It pauses, so that waiters may need an idle connection that must be pinged first.
  }

  #failed(opening: AbortController, error: Error): void {
    if (opening.signal.aborted) return // No waiter is left. A connection that was being opened has joined the pool.
    this.slowDown()
    if (this.#retrying && this.#retrying !== opening) return
    if (this.#engine.isShuttingDown) return // The shutdown tells the waiters, unless others can serve them.
    const isFinal =
      this.#engine.options.connectRetry !== false || !mayConnectAgain(connectCauseOf(error), this.#hasConnected)
    // The user's hook may fail for one waiter and not for the next. A wrong password is wrong for all of them.
    const concernsAll = isFinal && isInstance(error, ConnectError) && !this.#doOthersServe(error)
    this.#waitQueue.failFirst(concernsAll ? this.#waitQueue.size : 1, () => copyOf(error))
  }
}
