import type { StatementKind } from './command.ts'
import { KnownTexts } from './known-texts.ts'
import { type CalledFunction, factsOfQuery } from './query.ts'
import { namesLate, type Reading, readText, type SqlStatement } from './reading.ts'

export type { StatementKind } from './command.ts'
export type { CalledFunction } from './query.ts'
export type { SqlStatement } from './reading.ts'

/**
 * What is known of the text of a statement, or of several: the one reader of SQL. Where it can't be sure it errs to the
 * careful side: it may commit, it is several statements, it is no read, it doesn't only roll back.
 *
 * It can't be sure where the text reads differently with the two settings of `standard_conforming_strings`, where a
 * comment never closes, where a NUL character stands, at which the protocol ends the text, and where a function of the SQL
 * standard (BEGIN ATOMIC) has another in its body.
 */
export class SqlText {
  readonly #text: string
  #query: Query | undefined
  /** The statements in their order, as `standard_conforming_strings = on` has them. */
  readonly statements: readonly SqlStatement[]
  /** Whether it can be told where each statement begins and ends. */
  readonly isSure: boolean
  /** What may stand in it that takes effect when the transaction commits, and not before. */
  readonly isLate: boolean
  /** What it does to the transaction when it is sent as it is. */
  readonly kind: StatementKind
  /** What it does when it is sent with parameters: the protocol then allows but one statement. */
  readonly kindWithValues: StatementKind

  constructor(text: string) {
    const standard = readText(text, false)
    this.#text = text
    this.statements = standard.statements
    this.isSure = isSureOf(text, standard)
    this.isLate = this.isSure ? this.statements.some(({ isLate }) => isLate) : namesLate(text)
    const opaque = this.isLate ? 'hidden' : 'opaque'
    const first = this.statements[0]?.kind ?? 'work'
    this.kind = this.isSingle ? first : opaque
    this.kindWithValues = this.isSure ? first : opaque
  }

  /** Whether it is one statement, or none. */
  get isSingle(): boolean {
    return this.isSure && this.statements.length <= 1
  }

  /** Whether it may have an open transaction committed: by COMMIT, or by what it does behind a ROLLBACK. */
  get mayCommit(): boolean {
    if (!this.isSure) return true
    const last = this.statements.length - 1
    return this.statements.some(({ ends }, index) => ends === 'commit' || (ends === 'rollback' && index < last))
  }

  /** Whether an open transaction may be over when it is done, so that what comes behind it is in none. */
  get mayEnd(): boolean {
    return !this.isSure || this.statements.some(({ ends }) => ends !== undefined)
  }

  /** Whether all that it does is done in a transaction that it has begun, and that is open afterwards. */
  get isInTransactionOfItsOwn(): boolean {
    return this.isSure && this.statements[0]?.kind === 'begin' && !this.mayEnd
  }

  /** Whether all that it does is to undo: ROLLBACK, also to a savepoint, and nothing behind it. */
  get onlyRollsBack(): boolean {
    const name = this.isSingle ? this.statements[0]?.name : undefined
    return name === 'rollback' || name === 'rollback to'
  }

  /** Whether it is one SELECT without parts that write: see `SqlStatement`. */
  get isSelect(): boolean {
    return this.isSingle && this.statements[0]?.isSelect === true
  }

  /**
   * Whether it is a plain read: one SELECT, VALUES, TABLE or WITH that writes nothing, locks nothing, and calls no function
   * but such as pg_catalog calls immutable or stable. What its text can't show is listed at `factsOfQuery`: a read may run
   * twice only where the server holds it to reading. Its rows may depend on the session (settings, temporary tables).
   */
  get isRead(): boolean {
    return this.otherFunctions?.length === 0
  }

  /**
   * The functions because of which it is no plain read: where the database knows that each of them is immutable or stable,
   * it is one. Undefined where it is none for another reason.
   */
  get otherFunctions(): readonly CalledFunction[] | undefined {
    this.#query ??= this.isSelect ? queryOf(this.#text) : NO_READ
    return this.#query.otherFunctions
  }

  /** Whether it asks for a COMMIT, and for no ROLLBACK. */
  get asksForCommit(): boolean {
    const asks = this.statements.map(({ ends }) => ends)
    return asks.includes('commit') && !asks.includes('rollback')
  }
}

/** What is found out about a text when somebody asks whether it is a read. */
interface Query {
  readonly otherFunctions: readonly CalledFunction[] | undefined
}

const NO_READ: Query = { otherFunctions: undefined }

/** Reads it with both settings of `standard_conforming_strings`, unless the server refuses it with the second one. */
function queryOf(text: string): Query {
  const standard = factsOfQuery(text, false)
  const other = standard.hasBackslash ? factsOfQuery(text, true) : undefined
  const facts = other && !other.isUnclosed ? [standard, other] : [standard]
  if (facts.some(({ locks, isUnclosed }) => locks || isUnclosed)) return NO_READ
  return { otherFunctions: facts.flatMap(({ otherFunctions }) => otherFunctions) }
}

const KNOWN = new KnownTexts<SqlText>()

/** What is known of a text; found out once, and remembered for the texts that are asked for again. */
export function readSql(text: string): SqlText {
  const known = KNOWN.of(text)
  if (known) return known
  const read = new SqlText(text)
  KNOWN.learn(text, read)
  return read
}

/** What a statement does to its transaction; `undefined` stands for one that the server knows by its name only. */
export function kindOf(text: string | undefined, hasValues: boolean): StatementKind {
  if (text === undefined) return 'opaque'
  const sql = readSql(text)
  return hasValues ? sql.kindWithValues : sql.kind
}

/** Whether something may be in a text that takes effect when the transaction commits, and not before. */
export function takesEffectLate(text: string | undefined): boolean {
  return text !== undefined && readSql(text).isLate
}

/** Whether this text may have an open transaction committed; `undefined` stands for one that only the driver knows. */
export function mayCommit(text: string | undefined): boolean {
  return text === undefined || readSql(text).mayCommit
}

/** Whether this statement only undoes: on a connection lost before COMMIT it is already true. */
export function onlyRollsBack(text: string | undefined): boolean {
  return text !== undefined && readSql(text).onlyRollsBack
}

/** Whether this text asks for a COMMIT, and for no ROLLBACK: if it was answered with ROLLBACK, nothing was written. */
export function asksForCommit(text: string | undefined): boolean {
  return text !== undefined && readSql(text).asksForCommit
}

/**
 * Whether this text is a single query that has no part that writes: SELECT, VALUES, TABLE or WITH without INSERT, UPDATE,
 * DELETE, MERGE and INTO. Locks (FOR UPDATE) and functions, which may write, are not looked at. Where it can't be told it
 * is none.
 */
export function isSelect(text: string): boolean {
  return readSql(text).isSelect
}

/**
 * The word by which this text would begin or end a transaction, as it is written; undefined if it does neither. Savepoints
 * are free. Only the first statement of a text is looked at: what hides behind it is noticed when it's done.
 */
export function transactionControlIn(text: string | undefined): string | undefined {
  const statement = text === undefined ? undefined : readSql(text).statements[0]
  if (!statement || (statement.name !== 'begin' && statement.ends === undefined)) return undefined
  return CONTROL.exec((text as string).slice(statement.start, statement.end))?.[0]
}

/** A name of two words, or the first word. */
const CONTROL = /^(?:start|prepare)\s+transaction\b|^\w+/i

/**
 * A text that reads in the same way with both settings of `standard_conforming_strings` is sure. The server refuses one
 * whose quotes don't close, so with the other setting that is no second way to read it. With this one it is no harm,
 * either, unless something might hide behind the quote, should we be wrong.
 */
function isSureOf(text: string, standard: Reading): boolean {
  const { isAmbiguous, unclosed, unclosedAt, hasBackslash, hasNul } = standard
  if (isAmbiguous || hasNul || unclosed === 'comment' || (unclosed && text.includes(';', unclosedAt))) return false
  if (!hasBackslash) return true
  const other = readText(text, true)
  return other.unclosed !== undefined || isSame(standard.statements, other.statements)
}

function isSame(some: readonly SqlStatement[], others: readonly SqlStatement[]): boolean {
  return some.length === others.length && some.every((each, index) => isAlike(each, others[index] as SqlStatement))
}

/** What else is told of a statement follows from where it is, and which words it begins with. */
function isAlike(one: SqlStatement, other: SqlStatement): boolean {
  return (
    one.start === other.start &&
    one.end === other.end &&
    one.isLate === other.isLate &&
    one.returnsRows === other.returnsRows &&
    one.isSelect === other.isSelect &&
    one.words.join(' ') === other.words.join(' ')
  )
}
