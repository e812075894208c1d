import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'

/**
 * Finds out how many connections a pool can really have in use at one time: takes `count` at once, has each answer,
 * and lets go of all of them together. A dead one goes back with its error, so that a second try finds it replaced.
 */
export async function occupyPool(pool: Pool, count: number, withinMillis: number): Promise<number> {
  const leases = Array.from({ length: count }, () => new Lease(pool))
  await Promise.race([Promise.all(leases.map(({ settled }) => settled)), sleep(withinMillis)])
  const answered = leases.filter((lease) => lease.hasAnswered).length
  for (const lease of leases) lease.letGo()
  return answered
}

class Lease {
  /** When it has answered, or failed. Cannot reject: not to answer is the result. */
  readonly settled: Promise<void>
  hasAnswered = false
  #client: PoolClient | undefined
  #isSettled = false
  #isWanted = true
  #isBroken = false

  constructor(pool: Pool) {
    this.settled = this.#take(pool)
  }

  /** Gives the connection back: now, or as soon as there is one. */
  letGo(): void {
    this.#isWanted = false
    this.#giveBack()
  }

  async #take(pool: Pool): Promise<void> {
    try {
      this.#client = await pool.connect()
      this.#client.on('error', ignored)
      if (this.#isWanted) {
        await this.#client.query('select 1')
        this.hasAnswered = true
      }
    } catch {
      this.#isBroken = true
    }
    this.#isSettled = true
    this.#giveBack()
  }

  #giveBack(): void {
    if (!this.#isSettled || this.#isWanted) return
    this.#client?.off('error', ignored)
    this.#client?.release(this.#isBroken)
    this.#client = undefined
  }
}

function ignored(): void {}
