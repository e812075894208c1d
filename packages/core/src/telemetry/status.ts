/** The counts of a pool at one moment. As text, `${pool.status()}`, it is the line of SQLAlchemy's `Pool.status()`. */
export interface PoolStatus {
  /** The option `name`. */
  readonly name: string
  /** The process that the pool is in. */
  readonly pid: number
  /** The option `max`. */
  readonly max: number
  /** The option `maxIdle`. */
  readonly maxIdle: number
  /** Slots taken: the sum of the next five. */
  readonly size: number
  /** In use. */
  readonly leased: number
  /** Ready to be used. */
  readonly idle: number
  /** Being connected. */
  readonly opening: number
  /** Being pinged. */
  readonly checking: number
  /** Being reset after a release. */
  readonly resetting: number
  /** Callers that wait for a connection. */
  readonly waiting: number
  /** `end()` was called. */
  readonly isClosed: boolean
  /** `Pool size: 5  Connections in pool: 1 Current Overflow: -3 Current Checked out connections: 1` */
  toString(): string
}

/** The facts in a status. */
export type StatusFacts = Omit<PoolStatus, 'toString'>

/** Makes a status of these facts. */
export function statusOf(facts: StatusFacts): PoolStatus {
  return Object.freeze(new Status(facts))
}

class Status implements PoolStatus {
  readonly name: string
  readonly pid: number
  readonly max: number
  readonly maxIdle: number
  readonly size: number
  readonly leased: number
  readonly idle: number
  readonly opening: number
  readonly checking: number
  readonly resetting: number
  readonly waiting: number
  readonly isClosed: boolean

  constructor(facts: StatusFacts) {
    this.name = facts.name
    this.pid = facts.pid
    this.max = facts.max
    this.maxIdle = facts.maxIdle
    this.size = facts.size
    this.leased = facts.leased
    this.idle = facts.idle
    this.opening = facts.opening
    this.checking = facts.checking
    this.resetting = facts.resetting
    this.waiting = facts.waiting
    this.isClosed = facts.isClosed
  }

  static {
    // For util.inspect, minified or not.
    Object.defineProperty(Status, 'name', { value: 'PoolStatus' })
  }

  /** Like SQLAlchemy, counts as overflow the connections beyond those that it would keep. */
  toString(): string {
    const { maxIdle, idle, size, leased } = this
    return `Pool size: ${maxIdle}  Connections in pool: ${idle} Current Overflow: ${size - maxIdle} Current Checked out connections: ${leased}`
  }
}
