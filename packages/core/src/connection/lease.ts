import type { ResetPolicy } from '../options/pool-options.ts'

/** The right to use a connection, granted anew each time: who has it, since when, and what it is to end with. */
export class Lease {
  /** Counts up from 1: how often the connection has been leased. */
  number = 0
  since = 0
  /** What to reset the session by, if not by the pool's policy. */
  resetOnReturn: ResetPolicy | undefined = undefined
  /** Where it was acquired, if leaks are looked for. */
  holder: string | undefined = undefined
  /** Whether it has been told to last too long. */
  isOverdue = false
  /** Whether anything was sent. */
  hasWorked = false
  #heldNumber = 0

  /** Begins the next lease. */
  begin(now: number, resetOnReturn: ResetPolicy | undefined, holder: string | undefined): void {
    this.#heldNumber = ++this.number
    this.since = now
    this.resetOnReturn = resetOnReturn
    this.holder = holder
    this.isOverdue = false
    this.hasWorked = false
  }

  /** Whether the lease with this number hasn't been given back. */
  isHeld(number: number): boolean {
    return this.#heldNumber === number
  }

  /** Given back. */
  end(): void {
    this.#heldNumber = 0
  }
}
