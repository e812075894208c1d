import type { Duplex } from 'node:stream'
import { type Fault, Faults } from './faults.ts'
import { Link } from './link.ts'
import type { ModelServer } from './server.ts'
import { ModelSocket } from './socket.ts'

/** Something that may happen now. */
export interface Possibility {
  /** When it became possible, as a count. */
  readonly since: number
  readonly what: string
  happen(): void
}

/** The network between the driver and the model server: each message is under way until the run lets it arrive. */
export class Network {
  readonly server: ModelServer
  readonly isPooled: boolean
  readonly faults: Faults
  readonly links: Link[] = []
  /** Whether a session could not be terminated for a while. */
  wasDiskStalled = false
  /** Whether time has passed while an inquiry could have been answered. */
  hasDelayedInquiry = false
  /** Whether it has ever refused connections. */
  hasRefused = false
  #refusesUntil = 0
  #moments = 0

  constructor(server: ModelServer, faults: readonly Fault[], isPooled: boolean) {
    this.server = server
    this.faults = new Faults(faults)
    this.isPooled = isPooled
  }

  /** The driver's `stream` option. */
  readonly makeSocket = (): Duplex => {
    const link = new Link(this.links.length + 1, this)
    this.links.push(link)
    return new ModelSocket(link)
  }

  /** The next value of a counter. */
  nextMoment(): number {
    return ++this.#moments
  }

  get isRefusing(): boolean {
    return performance.now() < this.#refusesUntil
  }

  /** Refuses connections for so long. */
  refuse(millis: number): void {
    this.hasRefused = true
    this.#refusesUntil = Math.max(this.#refusesUntil, performance.now() + millis)
  }

  /** Notes that time passes although something could happen. */
  passTime(): void {
    this.hasDelayedInquiry ||= this.links.some((link) => link.isOfInquiry && link.possibilities.length > 0)
  }

  /** Everything that may happen now, the oldest first. */
  get possibilities(): Possibility[] {
    return this.links.flatMap((link) => link.possibilities).toSorted((a, b) => a.since - b.since)
  }

  /** Drops everything that is under way. */
  dropAll(): void {
    for (const link of this.links) link.destroy()
  }
}
