import type { Connection, ConnectionState } from '../connection/connection.ts'
import type { PoolTimeoutDetails } from '../errors.ts'

/** What takes a slot of the pool, and in which state: every count is derived here. */
export class Inventory {
  readonly #alive = new Set<Connection>()
  /** The order in which idle ones came back: the last is the freshest. */
  readonly #idle: Connection[] = []

  /** Slots taken. */
  get size(): number {
    return this.#alive.size
  }

  get idleCount(): number {
    return this.#idle.length
  }

  /** How many are in this state. */
  count(state: ConnectionState): number {
    let count = 0
    for (const connection of this.#alive) if (connection.is(state)) count++
    return count
  }

  /** All that take a slot; a copy, since most who ask change it. */
  all(): Connection[] {
    return [...this.#alive]
  }

  /** The idle ones, the longest idle first; a copy. */
  idle(): Connection[] {
    return [...this.#idle]
  }

  /** The attempt to open a connection that has lasted longest. */
  longestOpening(): Connection | undefined {
    return this.#longest('opening', (connection) => connection.startedAt)
  }

  /** Who has what, for those who wait in vain. */
  occupancy(now: number): Omit<PoolTimeoutDetails, 'max' | 'waiting' | 'waitedMillis'> {
    const longest = this.#longest('leased', (connection) => connection.leasedAt)
    return {
      leased: this.count('leased'),
      idle: this.idleCount,
      opening: this.count('opening'),
      checking: this.count('checking'),
      resetting: this.count('resetting'),
      longestLease: longest && { heldMillis: now - longest.leasedAt, backendPid: longest.backendPid },
    }
  }

  /** Gives a connection a slot. */
  add(connection: Connection): void {
    this.#alive.add(connection)
  }

  /** Enters a connection among the idle. */
  addIdle(connection: Connection): void {
    this.#idle.push(connection)
  }

  /** The idle connection to be lent next. */
  get freshest(): Connection | undefined {
    return this.#idle.at(-1)
  }

  /** Takes the idle connection to be lent next. */
  takeFreshest(): Connection | undefined {
    return this.#idle.pop()
  }

  /** Frees the slot of a connection. */
  remove(connection: Connection): void {
    this.#alive.delete(connection)
    const index = this.#idle.indexOf(connection)
    if (index !== -1) this.#idle.splice(index, 1)
  }

  #longest(state: ConnectionState, since: (connection: Connection) => number): Connection | undefined {
    let longest: Connection | undefined
    for (const connection of this.#alive) {
      if (connection.is(state) && (!longest || since(connection) < since(longest))) longest = connection
    }
    return longest
  }
}
