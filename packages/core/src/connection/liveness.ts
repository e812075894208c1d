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

  /** The session is likely dead. An answer to a statement that was sent before now won't clear this. */
  markSuspect(): void {
    this.#suspicions++
  }

  /** The server has answered a statement that was sent in this epoch. */
  answered(now: number, epoch: number): void {
    this.#answeredAt = now
    this.#clearedUpTo = Math.max(this.#clearedUpTo, epoch)
  }
}
