// Programs send the same texts again and again. Those that write their values into them fill this with texts that never
// come again: two generations of facts keep what is asked for, without a queue that each look-up would have to reorder.
const MOST_KNOWN = 500
// Longer ones are mostly made of values, which don't come again: they would only take memory.
const LONGEST_KNOWN = 10_000

/** What has been found out about the texts of statements, so that it needn't be found out each time. */
export class KnownTexts<Fact> {
  #young = new Map<string, Fact>()
  /** What nobody has asked for since the young ones were as many as this. */
  #old = new Map<string, Fact>()

  /** What was learned of a text; undefined if nothing was, or if the text has not been asked for in a long time. */
  of(text: string): Fact | undefined {
    const fact = this.#young.get(text)
    if (fact !== undefined) return fact
    const old = this.#old.get(text)
    if (old !== undefined) this.#keep(text, old)
    return old
  }

  /** Keeps a fact, in place of the one before; not of a text that is very long. */
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
