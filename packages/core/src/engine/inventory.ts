import type { Connection, ConnectionState } from '../connection/connection.ts'

/** What the pool owns, and in which state: every count is derived here. */
export class Inventory {
  readonly #alive = new Set<Connection>()
  readonly #closing = new Set<Connection>()
  /** The order in which idle ones came back: the last is the freshest. */
  readonly #idle: Connection[] = []

  /** Connections that take a slot: all but those on their way out. */
  get size(): number {
    return this.#alive.size
  }

  get idleCount(): number {
    return this.#idle.length
  }

  get closingCount(): number {
    return this.#closing.size
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

  /** Those on their way out; a copy. */
  closing(): Connection[] {
    return [...this.#closing]
  }

  /** The idle ones, the longest idle first; a copy. */
  idle(): Connection[] {
    return [...this.#idle]
  }

  /** The one that was leased first among those still leased. */
  longestLeased(): Connection | undefined {
    let longest: Connection | undefined
    for (const connection of this.#alive) {
      if (connection.is('leased') && (!longest || connection.leasedAt < longest.leasedAt)) longest = connection
    }
    return longest
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

  /** Frees the slot of a connection, which is kept in sight until it is closed. */
  retire(connection: Connection): void {
    this.#alive.delete(connection)
    const index = this.#idle.indexOf(connection)
    if (index !== -1) this.#idle.splice(index, 1)
    this.#closing.add(connection)
  }

  /** Forgets a connection that is closed. */
  forget(connection: Connection): void {
    this.#closing.delete(connection)
  }
}
