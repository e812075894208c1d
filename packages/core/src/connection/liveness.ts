/** What is known of a session being alive: when the server last answered, and whether that still means something. */
export class Liveness {
  #answeredAt = 0
  #suspicions = 0
  #cleared = 0

  /** When the server last answered. */
  get answeredAt(): number {
    return this.#answeredAt
  }

  /** Whether a ping must be answered before the next lease. */
  get suspect(): boolean {
    return this.#suspicions > this.#cleared
  }

  /** To be kept with what is sent now. */
  get mark(): number {
    return this.#suspicions
  }

  /** Something happened that makes its death likely. An answer to what was sent before will prove nothing. */
  markSuspect(): void {
    this.#suspicions++
  }

  /** The server has answered what was sent at that mark. */
  answered(now: number, mark: number): void {
    this.#answeredAt = now
    this.#cleared = Math.max(this.#cleared, mark)
  }
}
