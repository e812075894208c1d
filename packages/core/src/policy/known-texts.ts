// Programs send the same texts again and again; those that write their values into them are forgotten now and then.
const MOST_KNOWN = 500
// Longer ones are mostly made of values, which don't come again: they would only take memory.
const LONGEST_KNOWN = 10_000

/** What has been found out about the texts of statements, so that it needn't be found out each time. */
export class KnownTexts<Fact> {
  readonly #facts = new Map<string, Fact>()

  /** What was learned of a text; undefined if nothing was. */
  of(text: string): Fact | undefined {
    return this.#facts.get(text)
  }

  /** Keeps a fact, in place of the one before; not of a text that is very long. */
  learn(text: string, fact: Fact): void {
    if (text.length > LONGEST_KNOWN) return
    if (this.#facts.size >= MOST_KNOWN && !this.#facts.has(text)) this.#facts.clear()
    this.#facts.set(text, fact)
  }
}
