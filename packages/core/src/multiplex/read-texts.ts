import { functionsToAsk } from '../policy/enclosing.ts'
import { KnownTexts, readSql } from '../sql/statement.ts'

/** A text is shared when it has run so often that its mean time means something. */
const RUNS_TO_KNOW = 5
/** How many of the last runs the mean is about. */
const RUNS_THAT_COUNT = 50
/** Longer ones mostly consist of values. */
const LONGEST_TEXT = 10_000

/** A text, and how long it takes, in milliseconds. */
export class ReadText {
  readonly isPlainRead: boolean
  #mean = 0
  #runs = 0

  constructor(isPlainRead: boolean) {
    this.isPlainRead = isPlainRead
  }

  /** It was answered so long after nothing was in front of it. */
  took(millis: number): void {
    if (this.#runs < RUNS_THAT_COUNT) this.#runs++
    this.#mean += (millis - this.#mean) / this.#runs
  }

  /** How long it takes; undefined as long as that isn't known. */
  get meanMillis(): number | undefined {
    return this.#runs < RUNS_TO_KNOW ? undefined : this.#mean
  }
}

const NO_READ = new ReadText(false)

/** The texts of a pool: which ones are plain reads, and how long these take. Bounded. */
export class ReadTexts {
  readonly #texts = new KnownTexts<ReadText>()

  of(text: string): ReadText {
    const known = this.#texts.of(text)
    if (known) return known
    if (text.length > LONGEST_TEXT) return NO_READ
    const isRead = functionsToAsk(readSql(text))?.length === 0
    const read = isRead ? new ReadText(true) : NO_READ
    this.#texts.learn(text, read)
    return read
  }
}
