import type { AsyncResource } from 'node:async_hooks'
import pRetry from 'p-retry'
import { ConnectError } from '../errors.ts'
import type { Retry } from '../options/resolved-options.ts'
import { FIRST_PACE, quickened, UNPACED } from '../policy/backoff.ts'
import { mayConnectAgain } from '../policy/classify-error.ts'
import { inNoContext } from '../runtime/context.ts'
import { isInstance } from '../thrown.ts'

/** What supply asks of the engine. */
export interface ConnectSchedulerParts {
  readonly max: number
  readonly connectRetry: Retry | false
  /**
   * Opens one connection, on behalf of one caller if there is one; it has joined the pool when this resolves, unless the
   * pool has dropped it meanwhile.
   */
  readonly openOne: (opener: AsyncResource | undefined) => Promise<boolean>
  /** Whether a connection more may be opened. */
  readonly hasRoom: () => boolean
  /** Whether anybody waits for a connection. */
  readonly isWanted: () => boolean
  /** No connection can be had, and trying again won't help: `everybody`, or the one whose attempt it was. */
  readonly onFailed: (error: Error, whom: 'everybody' | 'first') => void
  /** The pace allows more than before. */
  readonly onPace: () => void
}

/**
 * Opens connections when demand exceeds supply. While the server is away a single probe goes on connecting, and the
 * others wait for it; once it is back, the pace doubles with each success.
 */
export class ConnectScheduler {
  readonly #parts: ConnectSchedulerParts
  #pace = UNPACED
  #underWay = 0
  #probe: AbortController | undefined
  #hasConnected = false
  #lastFailure: unknown

  constructor(parts: ConnectSchedulerParts) {
    this.#parts = parts
  }

  /** Attempts under way, that of a pausing probe included. */
  get underWay(): number {
    return this.#underWay
  }

  /** Why the last attempt failed; undefined once one has succeeded. */
  get lastFailure(): unknown {
    return this.#lastFailure
  }

  /** Opens up to `count` more connections, as far as the pace allows; on behalf of one caller if there is one. */
  open(count: number, opener?: AsyncResource): void {
    if (this.#probe) return
    const allowed = Math.min(count, this.#pace - this.#underWay)
    for (let started = 0; started < allowed; started++) inNoContext(() => this.#start(opener))
  }

  /** The server may have restarted: begin gently. */
  slowDown(): void {
    this.#pace = FIRST_PACE
  }

  /** Nobody waits any more. An attempt under way is finished, and joins the pool. */
  stopProbing(): void {
    this.#probe?.abort()
    this.#probe = undefined
  }

  #start(opener: AsyncResource | undefined): void {
    this.#underWay++
    const probe = new AbortController()
    // Whoever tries again does so for all.
    pRetry((number) => this.#attempt(probe, number === 1 ? opener : undefined), {
      ...(this.#parts.connectRetry || { retries: 0 }),
      signal: probe.signal,
      shouldRetry: () => this.#probe === probe,
    })
      .catch((error: Error) => this.#failed(probe, error))
      .finally(() => {
        this.#underWay--
        if (this.#probe === probe) this.#probe = undefined
        this.#parts.onPace()
      })
  }

  async #attempt(probe: AbortController, opener: AsyncResource | undefined): Promise<void> {
    // While its failure was on its way here, somebody else may have taken the slot: he goes on, then.
    if (this.#probe === probe && !this.#parts.hasRoom()) return
    let hasJoined: boolean
    try {
      hasJoined = await this.#parts.openOne(opener)
    } catch (error) {
      this.#lastFailure = error
      // At once: while p-retry thinks it over, nobody may take the slot that the probe goes on to use.
      if (this.#mayProbe(probe, error)) this.#becomeProbe(probe)
      else if (this.#probe === probe) this.#probe = undefined
      throw error
    }
    if (!hasJoined) return
    this.#hasConnected = true
    this.#lastFailure = undefined
    this.#pace = quickened(this.#pace, this.#parts.max)
  }

  /** The first to fail becomes the probe; whoever fails beside it leaves the server alone. */
  #mayProbe(probe: AbortController, error: unknown): boolean {
    if (this.#probe && this.#probe !== probe) return false
    if (probe.signal.aborted || this.#parts.connectRetry === false) return false
    return this.#parts.isWanted() && mayConnectAgain(causeOf(error), this.#hasConnected)
  }

  #becomeProbe(probe: AbortController): void {
    this.#probe = probe
    this.slowDown()
    this.#parts.onPace() // Nothing is being opened now for those who wait: what lies idle shall prove itself.
  }

  #failed(probe: AbortController, error: Error): void {
    if (probe.signal.aborted) return // Nobody waits; an attempt that was under way has succeeded, or nobody cares.
    this.slowDown()
    if (this.#probe && this.#probe !== probe) return
    const final = this.#parts.connectRetry !== false || !mayConnectAgain(causeOf(error), this.#hasConnected)
    // A hook of the user's may fail for one and not for the next; a wrong password is wrong for everybody.
    this.#parts.onFailed(error, final && isInstance(error, ConnectError) ? 'everybody' : 'first')
  }
}

function causeOf(error: unknown): unknown {
  return isInstance(error, ConnectError) ? error.cause : error
}
