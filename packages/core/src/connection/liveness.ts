import type { SlowStatement } from '../telemetry/status.ts'

/** What is known of a session being alive: when the server last answered, and whether that still means something. */
export class Liveness {
  /** What the server says of the statement that runs, if that takes long and the watch has asked. */
  slow: SlowStatement | undefined = undefined
  /** Whether the watch has found the connection dead, and ends its session: what that session still says concerns no other. */
  isDeclaredDead = false
  #answeredAt = 0
  #suspicions = 0
  #clearedUpTo = 0
  /** When another connection was lost, if that alone makes this one a suspect. */
  #otherLostAt: number | undefined

  /** When the server last answered. */
  get answeredAt(): number {
    return this.#answeredAt
  }

  /** Whether a ping must be answered before the next lease. */
  get suspect(): boolean {
    return this.#suspicions > this.#clearedUpTo
  }

  /** Counts suspicions. To be kept with each statement that is sent, and passed to `answered`. */
  get epoch(): number {
    return this.#suspicions
  }

  /**
   * Whether an answer has arrived since another connection was lost, the only reason why this one is a suspect. The answer may be
   * older than the loss, so it isn't enough by itself.
   */
  get hasAnsweredSinceLoss(): boolean {
    return this.#otherLostAt !== undefined && this.#answeredAt > this.#otherLostAt
  }

  /**
   * The session may be dead. An answer to a statement that was sent before now won't clear this. `otherLostAt`: when another
   * connection was lost, if that is the reason.
   */
  markSuspect(otherLostAt?: number): void {
    const hasOtherReason = this.suspect && this.#otherLostAt === undefined
    this.#otherLostAt = hasOtherReason ? undefined : otherLostAt
    this.#suspicions++
  }

  /** The server has answered a statement that was sent in this epoch. */
  answered(now: number, epoch: number): void {
    this.#answeredAt = now
    this.#clearedUpTo = Math.max(this.#clearedUpTo, epoch)
  }
}
