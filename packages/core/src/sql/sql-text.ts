import type { StatementKind } from './classify-statement.ts'
import { type CalledFunction, effectsOfQuery } from './query-effects.ts'
import { mentionsLate, type SplitText, type SqlStatement, splitStatements } from './split-statements.ts'

/**
 * What is known of a text with one statement or several. In doubt it errs on the careful side: the text may commit, is
 * several statements, is no read, and doesn't only roll back.
 *
 * There is doubt where the text reads differently with the two settings of `standard_conforming_strings`, where a comment
 * never closes, where the text has a NUL character (the protocol ends the text there), and where an SQL-standard function
 * (BEGIN ATOMIC) has another one in its body.
 */
export class SqlText {
  readonly #text: string
  #query: ReadFacts | undefined
  /** The statements in their order, as `standard_conforming_strings = on` has them. */
  readonly statements: readonly SqlStatement[]
  /** Whether it is clear where each statement begins and ends. */
  readonly isSure: boolean
  /** Whether part of it may take effect when the transaction commits, and not before. */
  readonly isLate: boolean
  /** What it does to the transaction when it is sent without parameters. */
  readonly kind: StatementKind
  /** What it does when it is sent with parameters: the protocol then allows only one statement. */
  readonly kindWithValues: StatementKind

  constructor(text: string) {
    const standard = splitStatements(text, false)
    this.#text = text
    this.statements = standard.statements
    this.isSure = isSureOf(text, standard)
    this.isLate = this.isSure ? this.statements.some(({ isLate }) => isLate) : mentionsLate(text)
    const opaque = this.isLate ? 'hidden' : 'opaque'
    // An empty text takes no snapshot.
    const first = this.statements[0]?.kind ?? 'setup'
    this.kind = this.isSingle ? first : opaque
    this.kindWithValues = this.isSure ? first : opaque
  }

  /** Whether it is one statement, or none. */
  get isSingle(): boolean {
    return this.isSure && this.statements.length <= 1
  }

  /** Whether it may commit an open transaction: by COMMIT, or by what follows a ROLLBACK. */
  get mayCommit(): boolean {
    if (!this.isSure) return true
    const last = this.statements.length - 1
    return this.statements.some(({ ends }, index) => ends === 'commit' || (ends === 'rollback' && index < last))
  }

  /** Whether it may end an open transaction, so that what follows runs in none. */
  get mayEnd(): boolean {
    return !this.isSure || this.statements.some(({ ends }) => ends !== undefined)
  }

  /** Whether all of it runs in a transaction that it begins itself and leaves open. */
  get isInTransactionOfItsOwn(): boolean {
    return this.isSure && this.statements[0]?.kind === 'begin' && !this.mayEnd
  }

  /** Whether all that it does is to undo: ROLLBACK, also to a savepoint, with nothing after it. */
  get onlyRollsBack(): boolean {
    const name = this.isSingle ? this.statements[0]?.name : undefined
    return name === 'rollback' || name === 'rollback to'
  }

  /** Whether it is one SELECT without parts that write: see `SqlStatement`. */
  get isSelect(): boolean {
    return this.isSingle && this.statements[0]?.isSelect === true
  }

  /**
   * Whether it is a plain read: one SELECT, VALUES, TABLE or WITH that writes nothing, locks nothing, and calls only functions
   * that pg_catalog declares immutable or stable. `effectsOfQuery` lists what the text doesn't show, so a read may run twice
   * only where the server enforces reading. Its rows may depend on the session (settings, temporary tables).
   */
  get isRead(): boolean {
    return this.otherFunctions?.length === 0
  }

  /**
   * The functions that keep it from being a plain read: if the database declares each of them immutable or stable, it is one.
   * Undefined if it is no plain read for another reason.
   */
  get otherFunctions(): readonly CalledFunction[] | undefined {
    this.#query ??= this.isSelect ? readFactsOf(this.#text) : NO_READ
    return this.#query.otherFunctions
  }

  /** Whether it asks for a COMMIT, and for no ROLLBACK. */
  get asksForCommit(): boolean {
    const asks = this.statements.map(({ ends }) => ends)
    return asks.includes('commit') && !asks.includes('rollback')
  }
}

/**
 * A text that reads in the same way with both settings of `standard_conforming_strings` is sure. The server refuses a text
 * whose quotes don't close, so if that is so with the other setting, there is no second way to read it. With the standard
 * setting an unclosed quote does no harm either, unless a second statement might hide behind the quote.
 */
function isSureOf(text: string, standard: SplitText): boolean {
  const { isAmbiguous, unclosed, unclosedAt, hasBackslash, hasNul } = standard
  if (isAmbiguous || hasNul || unclosed === 'comment' || (unclosed && text.includes(';', unclosedAt))) return false
  if (!hasBackslash) return true
  const other = splitStatements(text, true)
  return other.unclosed !== undefined || areSame(standard.statements, other.statements)
}

function areSame(some: readonly SqlStatement[], others: readonly SqlStatement[]): boolean {
  return some.length === others.length && some.every((each, index) => isSame(each, others[index] as SqlStatement))
}

/** The other properties follow from the position of a statement and its first words. */
function isSame(one: SqlStatement, other: SqlStatement): boolean {
  return (
    one.start === other.start &&
    one.end === other.end &&
    one.isLate === other.isLate &&
    one.mayHaveRows === other.mayHaveRows &&
    one.isSelect === other.isSelect &&
    one.words.join(' ') === other.words.join(' ')
  )
}

/** What is found out about a text when it is first asked whether it is a plain read. */
interface ReadFacts {
  readonly otherFunctions: readonly CalledFunction[] | undefined
}

const NO_READ: ReadFacts = { otherFunctions: undefined }

/** Examines a query with both settings of `standard_conforming_strings`, unless the server refuses it with the second one. */
function readFactsOf(text: string): ReadFacts {
  const standard = effectsOfQuery(text, false)
  const other = standard.hasBackslash ? effectsOfQuery(text, true) : undefined
  const effects = other && !other.isUnclosed ? [standard, other] : [standard]
  if (effects.some(({ locks, isUnclosed }) => locks || isUnclosed)) return NO_READ
  return { otherFunctions: effects.flatMap(({ otherFunctions }) => otherFunctions) }
}
