// Programs send the same texts many times. Those that write their values into the text fill this with texts that are never
// sent again.
const MOST_KNOWN = 500
// Longer texts mostly consist of values and are rarely sent again: they would only take memory.
const LONGEST_KNOWN = 10_000

/**
 * What has been found out about the texts of statements: a cache of the least recently used kind. It has two generations
 * instead of an order of use, so that finding a text writes nothing: this runs several times for each statement, and a
 * `Map` that keeps the order of use would delete and insert a key each time.
 */
export class KnownTexts<Fact> {
  #young = new Map<string, Fact>()
  /** Texts that were not asked for since the young generation began. They go when the next one begins. */
  #old = new Map<string, Fact>()

  /** What was learned of a text; undefined if nothing was, or if the text has not been asked for in a long time. */
  of(text: string): Fact | undefined {
    const fact = this.#young.get(text)
    if (fact !== undefined) return fact
    const old = this.#old.get(text)
    if (old !== undefined) this.#keep(text, old)
    return old
  }

  /** Keeps a fact in place of the one before. A very long text is not kept. */
  learn(text: string, fact: Fact): void {
    if (text.length <= LONGEST_KNOWN) this.#keep(text, fact)
  }

  #keep(text: string, fact: Fact): void {
    if (this.#young.size >= MOST_KNOWN / 2 && !this.#young.has(text)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, fact)
  }
}
