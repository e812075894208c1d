import type { FrequentTexts } from './frequent-texts.ts'

/** How long a name must have been unused before another one takes its place. */
const UNUSED_MILLIS = 60_000

/** The names that a session has, which are not many. With more frequent texts than names, few names change. */
export class AdmittedNames {
  readonly #texts: Pick<FrequentTexts, 'settings' | 'clock'>
  readonly #close: (name: string) => void
  /** Whether each was used since the last look for unused ones. */
  readonly #names = new Map<string, { isUsed: boolean }>()
  #unused: string[] = []
  #looksAgainAt = Number.NEGATIVE_INFINITY

  /** `close` gives up a name that another one replaces. */
  constructor(texts: Pick<FrequentTexts, 'settings' | 'clock'>, close: (name: string) => void) {
    this.#texts = texts
    this.#close = close
  }

  get isEmpty(): boolean {
    return this.#names.size === 0
  }

  /** Whether the session has this name, or has room for it. It has it from now on. */
  admit(name: string): boolean {
    const known = this.#names.get(name)
    if (known) known.isUsed = true
    else if (this.#names.size < this.#texts.settings.max || this.#makeRoom()) this.#names.set(name, { isUsed: true })
    else return false
    return true
  }

  delete(name: string): void {
    this.#names.delete(name)
  }

  clear(): void {
    this.#names.clear()
  }

  #makeRoom(): boolean {
    const now = this.#texts.clock.now()
    if (now >= this.#looksAgainAt) {
      this.#looksAgainAt = now + UNUSED_MILLIS
      this.#unused = [...this.#names].flatMap(([name, { isUsed }]) => (isUsed ? [] : [name]))
      for (const each of this.#names.values()) each.isUsed = false
    }
    for (let name = this.#unused.pop(); name !== undefined; name = this.#unused.pop()) {
      if (this.#names.get(name)?.isUsed !== false) continue
      this.#names.delete(name)
      this.#close(name)
      return true
    }
    return false
  }
}
