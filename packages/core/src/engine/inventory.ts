import type { Connection } from '../connection/connection.ts'
import type { ConnectionState } from '../connection/state.ts'
import type { PoolTimeoutDetails } from '../errors.ts'

/** The connections of the pool, and their states. Every count is derived from them here. */
export class Inventory {
  readonly #alive = new Set<Connection>()
  /** These log in beside a silent one that has the slot: they have none. */
  readonly #asides = new Set<Connection>()
  /** In the order in which they became idle: the last is the freshest. */
  readonly #idle: Connection[] = []
  readonly #lifo: boolean
  /** Openings that wait for a slot of the budget, and will take a slot here. */
  asking = 0

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

  /** How many have been ready for a lease, and are still in the pool. */
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

  /** How many are being opened, or will be once the budget has a slot for them. */
  get openingCount(): number {
    return this.asking + this.count('opening')
  }

  /** How many leased connections are too old. */
  expiredCount(now: number): number {
    return this.all().filter((connection) => connection.is('leased') && connection.expiresAt <= now).length
  }

  /** All that take a slot. A copy, because most loops over it change the list. */
  all(): Connection[] {
    return [...this.#alive]
  }

  /** Those that log in beside another connection, which has the slot. */
  get asides(): ReadonlySet<Connection> {
    return this.#asides
  }

  /** The idle connections, the longest idle first. A copy. */
  idle(): Connection[] {
    return [...this.#idle]
  }

  /** The connection that has been opening for the longest time. */
  longestOpening(): Connection | undefined {
    return this.#longest('opening', (connection) => connection.startedAt)
  }

  /** What the connections are used for: the details of a timeout. */
  occupancy(now: number): Omit<PoolTimeoutDetails, 'max' | 'waiting' | 'waitedMillis'> {
    const longest = this.#longest('leased', (connection) => connection.lease.since)
    return {
      leased: this.count('leased'),
      idle: this.idleCount,
      opening: this.count('opening'),
      checking: this.count('checking'),
      resetting: this.count('resetting'),
      longestLease: longest && {
        heldMillis: now - longest.lease.since,
        backendPid: longest.backendPid,
        ...longest.statements.use,
      },
    }
  }

  /** Gives a connection a slot. */
  add(connection: Connection): void {
    this.#asides.delete(connection)
    this.#alive.add(connection)
  }

  /** Adds a connection that logs in beside another one. It takes no slot until `add` gives it that of the other. */
  addAside(connection: Connection): void {
    this.#asides.add(connection)
  }

  /** Adds an idle connection, in order of the time since which it has been idle. */
  addIdle(connection: Connection): void {
    let place = this.#idle.length
    // Only a connection that was pinged in the background returns to a place further in front.
    while (place > 0 && (this.#idle[place - 1] as Connection).idleSince > connection.idleSince) place--
    if (place === this.#idle.length) this.#idle.push(connection)
    else this.#idle.splice(place, 0, connection)
  }

  /** The idle connection that is leased next. */
  get next(): Connection | undefined {
    return this.#lifo ? this.#idle.at(-1) : this.#idle[0]
  }

  /** Removes a connection from the idle ones. It keeps its slot. */
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
