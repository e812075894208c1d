import type { Connection } from '../connection/connection.ts'
import type { ConnectionState } from '../connection/state.ts'
import type { PoolTimeoutDetails } from '../errors.ts'

/** What takes a slot of the pool, and in which state: every count is derived here. */
export class Inventory {
  readonly #alive = new Set<Connection>()
  /** Logging in beside one that has a slot and is silent: they have none. */
  readonly #asides = new Set<Connection>()
  /** In the order in which they came to lie idle: the last is the freshest. */
  readonly #idle: Connection[] = []
  readonly #lifo: boolean

  /** With `lifo` the freshest idle connection is leased first, else the one that has been idle longest. */
  constructor(lifo: boolean) {
    this.#lifo = lifo
  }

  /** Slots taken. */
  get size(): number {
    return this.#alive.size
  }

  get idleCount(): number {
    return this.#idle.length
  }

  /** How many have been ready for a lease, and are still there. */
  get openCount(): number {
    let count = 0
    for (const connection of this.#alive) if (connection.openedAt !== undefined) count++
    return count
  }

  /** How many are in this state. */
  count(state: ConnectionState): number {
    let count = 0
    for (const connection of this.#alive) if (connection.is(state)) count++
    return count
  }

  /** How many leased ones are too old already. */
  expiredCount(now: number): number {
    return this.all().filter((connection) => connection.is('leased') && connection.expiresAt <= now).length
  }

  /** All that take a slot; a copy, since most who ask change it. */
  all(): Connection[] {
    return [...this.#alive]
  }

  /** Those that log in beside another one, which has the slot. */
  get asides(): ReadonlySet<Connection> {
    return this.#asides
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
    const longest = this.#longest('leased', (connection) => connection.lease.since)
    return {
      leased: this.count('leased'),
      idle: this.idleCount,
      opening: this.count('opening'),
      checking: this.count('checking'),
      resetting: this.count('resetting'),
      longestLease: longest && { heldMillis: now - longest.lease.since, backendPid: longest.backendPid },
    }
  }

  /** Gives a connection a slot. */
  add(connection: Connection): void {
    this.#asides.delete(connection)
    this.#alive.add(connection)
  }

  /** Notes a connection that logs in beside another one: it takes no slot, unless that becomes free for it. */
  addAside(connection: Connection): void {
    this.#asides.add(connection)
  }

  /** Enters a connection among the idle, by the time since when it has been. */
  addIdle(connection: Connection): void {
    let place = this.#idle.length
    // Only one that was pinged in the background comes back to a place further in front.
    while (place > 0 && (this.#idle[place - 1] as Connection).idleSince > connection.idleSince) place--
    if (place === this.#idle.length) this.#idle.push(connection)
    else this.#idle.splice(place, 0, connection)
  }

  /** The idle connection whose turn it is. */
  get next(): Connection | undefined {
    return this.#lifo ? this.#idle.at(-1) : this.#idle[0]
  }

  /** Takes a connection from among the idle; it keeps its slot. */
  takeIdle(connection: Connection): void {
    if (this.#idle.at(-1) === connection) this.#idle.pop()
    else this.#removeIdle(connection)
  }

  /** Frees the slot of a connection. */
  remove(connection: Connection): void {
    this.#alive.delete(connection)
    this.#asides.delete(connection)
    this.#removeIdle(connection)
  }

  #removeIdle(connection: Connection): void {
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
