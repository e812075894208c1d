import { createHash } from 'node:crypto'
import { type Comparison, PlanGuard } from '../policy/plan-guard.ts'
import type { Clock } from '../runtime/clock.ts'
import { isPlannable, KnownTexts, mayChangeSearchPath } from '../sql/statement.ts'

/** What is prepared by the pool itself. */
export interface PrepareSettings {
  /** A text is prepared when it is sent for so many times, counted for the pool. */
  readonly threshold: number
  /** At most so many at a time on each connection. */
  readonly max: number
  /** Whether the server itself must be known to be at the other end: a pooler may serve each statement by another session. */
  readonly needsProof: boolean
}

/** Why a text is no longer prepared, or no text is. */
export interface PrepareStopped extends Partial<Comparison> {
  readonly reason: 'slower' | 'changes-often' | 'names-lost'
  /** Undefined if it is all of them. */
  readonly text: string | undefined
}

/** Where a text may be prepared: `outside` means outside of transactions, where the pool can run it again. */
type Where = 'anywhere' | 'outside' | 'nowhere'

/** A text that was sent with values. */
export class FrequentText {
  readonly text: string
  readonly guard: PlanGuard = new PlanGuard()
  readonly changesSearchPath: boolean
  /** How many times it was sent. */
  count = 0
  /** Made from the hash of the text, so that it never means another text. Undefined until the text is frequent. */
  name = ''
  where: Where = 'nowhere'
  /** How many times a change of a table has made it stale, and when it last did. */
  changes = 0
  changedAt: number = Number.NEGATIVE_INFINITY

  constructor(text: string) {
    this.text = text
    this.changesSearchPath = mayChangeSearchPath(text)
  }
}

/** Longer ones mostly consist of values. */
const LONGEST_TEXT = 10_000
const MOST_RESTRICTED = 1000
/** A text that so many changes have made stale belongs to no migration: its callers have tables of their own, or so. */
const MOST_CHANGES = 5
/** What several sessions meet within this time is one change. */
const ONE_CHANGE_MILLIS = 1000
const CHANGE_FORGOTTEN_MILLIS = 600_000
/** Names that are lost twice within this time are lost to a pooler, or to code that drops them by itself. */
const LOST_AGAIN_MILLIS = 60_000

// `select *` and `returning *`. A product counts, too; `count(*)` and comments don't.
const NO_STAR = /\(\s*\*\s*\)|\/\*|\*\//g

// The server turns the literal `'today'` into a date when it prepares the text. `now()` is a function.
const MOMENT = /\b(?:now|today|tomorrow|yesterday)\b(?!\s*\()/i

/** The texts that a pool sends with values, and which of them are prepared. Bounded in every respect. */
export class FrequentTexts {
  readonly settings: PrepareSettings
  readonly clock: Clock
  /** How many statements were sent under a name. */
  readonly counts: { prepared: number }
  readonly #onStopped: (stopped: PrepareStopped) => void
  readonly #texts = new KnownTexts<FrequentText>()
  /** By name, the texts that may not be prepared everywhere, so that it is kept when a text is forgotten. */
  readonly #restricted = new Map<string, Where>()
  #lostAt = Number.NEGATIVE_INFINITY
  #isOff = false
  /** What is known of all sessions: whether a pooler serves one of them. `asked`: one is being asked. */
  sessions: 'unknown' | 'asked' | 'direct' | 'pooled' = 'unknown'

  constructor(
    settings: PrepareSettings,
    clock: Clock,
    onStopped: (stopped: PrepareStopped) => void,
    counts: { prepared: number } = { prepared: 0 },
  ) {
    this.settings = settings
    this.clock = clock
    this.counts = counts
    this.#onStopped = onStopped
  }

  /** Whether names are lost to something that the pool can't see. */
  get isOff(): boolean {
    return this.#isOff
  }

  /** Counts a text that is about to be sent with values. Undefined if it is none that may be prepared. */
  count(text: string): FrequentText | undefined {
    let known = this.#texts.of(text)
    if (!known) {
      if (text.length > LONGEST_TEXT) return undefined
      known = new FrequentText(text)
      this.#texts.learn(text, known)
    }
    if (++known.count === this.settings.threshold) this.#examine(known)
    return known
  }

  /** The text is slower under its name. */
  stopSlow(known: FrequentText, comparison: Comparison): void {
    this.#restrict(known, 'nowhere')
    this.#onStopped({ reason: 'slower', text: known.text, ...comparison })
  }

  /** A change of a table has made it stale. In a transaction its caller was told, which must not happen twice. */
  noteChange(known: FrequentText, isOutside: boolean): void {
    if (known.where === 'nowhere') return
    if (!isOutside) this.#restrict(known, 'outside')
    const now = this.clock.now()
    const pausedMillis = now - known.changedAt
    known.changedAt = now
    if (pausedMillis < ONE_CHANGE_MILLIS) return
    known.changes = pausedMillis < CHANGE_FORGOTTEN_MILLIS ? known.changes + 1 : 1
    if (known.changes < MOST_CHANGES) return
    this.#restrict(known, 'nowhere')
    this.#onStopped({ reason: 'changes-often', text: known.text })
  }

  /** A session lacks a name that was prepared in it. */
  noteLost(): void {
    const now = this.clock.now()
    const isAgain = now - this.#lostAt < LOST_AGAIN_MILLIS
    this.#lostAt = now
    if (!isAgain || this.#isOff) return
    this.#isOff = true
    this.#onStopped({ reason: 'names-lost', text: undefined })
  }

  #examine(known: FrequentText): void {
    const { text } = known
    if (!isPlannable(text) || MOMENT.test(text)) return
    known.name = `hf_${createHash('sha256').update(text).digest('hex').slice(0, 40)}`
    known.where = this.#restricted.get(known.name) ?? (hasStar(text) ? 'outside' : 'anywhere')
  }

  #restrict(known: FrequentText, where: Where): void {
    known.where = where
    if (this.#restricted.size < MOST_RESTRICTED) this.#restricted.set(known.name, where)
  }
}

function hasStar(text: string): boolean {
  return text.replaceAll(NO_STAR, '').includes('*')
}
