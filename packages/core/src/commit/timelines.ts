import { isLater } from './verdict.ts'

/** The highest timeline on which a server took writes, by system: each promotion begins another one. */
export class Timelines {
  readonly #highest = new Map<string, string>()

  get isEmpty(): boolean {
    return this.#highest.size === 0
  }

  /** Undefined if the pool has met no server of this system that took writes. */
  highestOf(system: string): string | undefined {
    return this.#highest.get(system)
  }

  /** A server takes writes on this timeline. Returns the highest one so far on which a server of its system took some. */
  note(system: string, timeline: string): string | undefined {
    const highest = this.#highest.get(system)
    if (highest === undefined || isLater(timeline, highest)) this.#highest.set(system, timeline)
    return highest
  }
}
