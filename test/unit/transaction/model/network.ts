import type { Duplex } from 'node:stream'
import { Link } from './link.ts'
import { type Mishap, Mishaps } from './mishaps.ts'
import type { ModelServer } from './server.ts'
import { ModelSocket } from './socket.ts'

/** Something that may happen now. */
export interface Possibility {
  /** Since when: counts up. */
  readonly since: number
  readonly what: string
  happen(): void
}

/** What lies between the driver and the model server: every message is on its way until somebody has it arrive. */
export class Network {
  readonly server: ModelServer
  readonly isPooled: boolean
  readonly mishaps: Mishaps
  readonly links: Link[] = []
  /** Whether any session could not be terminated for a while. */
  wasDiskStalled = false
  /** Whether time has passed while somebody who asked about others could have been answered. */
  wasHurried = false
  /** Whether it has ever let nobody in. */
  hasRefused = false
  #refusesUntil = 0
  #moments = 0

  constructor(server: ModelServer, mishaps: readonly Mishap[], isPooled: boolean) {
    this.server = server
    this.mishaps = new Mishaps(mishaps)
    this.isPooled = isPooled
  }

  /** For the driver. */
  readonly makeSocket = (): Duplex => {
    const link = new Link(this.links.length + 1, this)
    this.links.push(link)
    return new ModelSocket(link)
  }

  /** Counts up. */
  nextMoment(): number {
    return ++this.#moments
  }

  get isRefusing(): boolean {
    return performance.now() < this.#refusesUntil
  }

  /** Lets nobody in for so long. */
  refuse(millis: number): void {
    this.hasRefused = true
    this.#refusesUntil = Math.max(this.#refusesUntil, performance.now() + millis)
  }

  /** Time passes, whatever might have happened. */
  hurry(): void {
    this.wasHurried ||= this.links.some((link) => link.isOfInquiry && link.possibilities.length > 0)
  }

  /** All that may happen now, what has waited longest first. */
  get possibilities(): Possibility[] {
    return this.links.flatMap((link) => link.possibilities).toSorted((a, b) => a.since - b.since)
  }

  /** Everything is on its way no more. */
  silence(): void {
    for (const link of this.links) link.destroy()
  }
}
