import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'

/** A connection, as far as this file uses it. */
export interface Occupied {
  ask(): Promise<unknown>
  giveBack(isBroken: boolean): void
}

/** {@link occupy} for a pool of pg's kind. */
export function occupyPool(pool: Pool, count: number, withinMillis: number): Promise<number> {
  const take = async (): Promise<Occupied> => {
    const client = await pool.connect()
    client.on('error', ignored)
    return {
      ask: () => client.query('select 1'),
      giveBack(isBroken) {
        client.off('error', ignored)
        client.release(isBroken)
      },
    }
  }
  return occupy(take, count, withinMillis)
}

/**
 * Finds out how many connections a pool can really have in use at one time: takes `count` at once, has each answer,
 * and releases all of them together. A dead one is released with its error, so that a second try finds it replaced.
 */
export async function occupy(take: () => Promise<Occupied>, count: number, withinMillis: number): Promise<number> {
  const leases = Array.from({ length: count }, () => new Lease(take))
  await Promise.race([Promise.all(leases.map(({ settled }) => settled)), sleep(withinMillis)])
  const answered = leases.filter((lease) => lease.hasAnswered).length
  for (const lease of leases) lease.letGo()
  return answered
}

class Lease {
  /** When it has answered, or failed. Cannot reject: not to answer is the result. */
  readonly settled: Promise<void>
  hasAnswered = false
  #occupied: Occupied | undefined
  #isSettled = false
  #isWanted = true
  #isBroken = false

  constructor(take: () => Promise<Occupied>) {
    this.settled = this.#take(take)
  }

  /** Gives the connection back: now, or as soon as there is one. */
  letGo(): void {
    this.#isWanted = false
    this.#giveBack()
  }

  async #take(take: () => Promise<Occupied>): Promise<void> {
    try {
      this.#occupied = await take()
      if (this.#isWanted) {
        await this.#occupied.ask()
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
    this.#occupied?.giveBack(this.#isBroken)
    this.#occupied = undefined
  }
}

function ignored(): void {}
