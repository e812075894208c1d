import { functionsToAsk } from '../policy/enclosing.ts'
import { isDataChange, KnownTexts, readSql } from '../sql/statement.ts'

/** A text is shared when it has run so often that its mean time means something. */
const RUNS_TO_KNOW = 5
/** How many of the last runs the mean is about. */
const RUNS_THAT_COUNT = 50
/** Longer ones mostly consist of values. */
const LONGEST_TEXT = 10_000

/** What a statement does that may share a connection. */
export type SharableKind = 'read' | 'write'

/** A text, and how long it takes, in milliseconds. */
export class SharedText {
  /** Undefined if it shares no connection. */
  readonly kind: SharableKind | undefined
  #mean = 0
  #runs = 0

  constructor(kind: SharableKind | undefined) {
    this.kind = kind
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

const NEVER_SHARED = new SharedText(undefined)

/** The texts of a pool: which ones may share a connection, and how long these take. Bounded. */
export class SharedTexts {
  readonly #texts = new KnownTexts<SharedText>()
  readonly #sharesWrites: boolean

  constructor(sharesWrites: boolean) {
    this.#sharesWrites = sharesWrites
  }

  of(text: string): SharedText {
    const known = this.#texts.of(text)
    if (known) return known
    if (text.length > LONGEST_TEXT) return NEVER_SHARED
    const kind = this.#kindOf(text)
    const shared = kind ? new SharedText(kind) : NEVER_SHARED
    this.#texts.learn(text, shared)
    return shared
  }

  #kindOf(text: string): SharableKind | undefined {
    if (functionsToAsk(readSql(text))?.length === 0) return 'read'
    return this.#sharesWrites && isDataChange(text) ? 'write' : undefined
  }
}
