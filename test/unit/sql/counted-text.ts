/** A text that counts how many of its characters are looked at: a measure of work that no busy machine can change. */
export class CountedText {
  readonly #text: string
  steps = 0

  constructor(text: string) {
    this.#text = text
  }

  get length(): number {
    return this.#text.length
  }

  charCodeAt(index: number): number {
    this.steps++
    return this.#text.charCodeAt(index)
  }

  indexOf(search: string, from: number): number {
    const found = this.#text.indexOf(search, from)
    this.steps += (found === -1 ? this.#text.length : found) - from + search.length
    return found
  }

  startsWith(search: string, from: number): boolean {
    this.steps += search.length
    return this.#text.startsWith(search, from)
  }

  slice(from: number, to: number): string {
    this.steps += to - from
    return this.#text.slice(from, to)
  }

  /** What reads a string, as it sees this. */
  asString(): string {
    return this as unknown as string
  }
}
