import { classifyStatement, type StatementClass, type StatementKind } from './classify-statement.ts'
import { Lexer, type Unclosed } from './lexer.ts'
import { CLOSING, lowerCase, OPENING, SEMICOLON } from './quotes-and-comments.ts'

/** One statement of a text. */
export interface SqlStatement extends StatementClass {
  /** Its first words in lower case, without the parentheses before them: eight at most. */
  readonly words: readonly string[]
  /** Where its first token begins, and its last one ends. */
  readonly start: number
  readonly end: number
  /** Whether part of it takes effect when the transaction commits, and not before. */
  readonly isLate: boolean
  /** Whether it may return rows: a query, SHOW, EXPLAIN, FETCH, EXECUTE, CALL, or any statement with RETURNING. */
  readonly mayHaveRows: boolean
  /**
   * Whether it is SELECT, VALUES, TABLE or WITH, and has no INSERT, UPDATE, DELETE, MERGE or INTO. It may lock rows, and call
   * functions that write. An unquoted column with such a name counts as such a part.
   */
  readonly isSelect: boolean
}

/** A text, split with one setting of `standard_conforming_strings`. */
export interface SplitText {
  readonly statements: readonly SqlStatement[]
  /** Whether the end of one of the statements is unclear. */
  readonly isAmbiguous: boolean
  /** What never closes, if anything, and where it begins. */
  readonly unclosed: Unclosed | undefined
  readonly unclosedAt: number
  /** Whether the text may read differently with the other setting. */
  readonly hasBackslash: boolean
  readonly hasNul: boolean
}

/** What the token before was, as far as it matters for the next one. */
type Before = 'begin' | 'start of a statement in a body' | 'with' | 'for' | undefined

const MOST_WORDS = 8
const SELECTS: ReadonlySet<string> = new Set(['select', 'values', 'table', 'with'])
const COMMANDS_WITH_ROWS: ReadonlySet<string> = new Set([...SELECTS, 'show', 'explain', 'fetch', 'execute', 'call'])
const LATE = /\b(?:hold|(?:pg_)?notify)\b/i

/** Whether a text mentions anything that takes effect when the transaction commits, even in a string. */
export function mentionsLate(text: string): boolean {
  return LATE.test(text)
}

/** Splits a text into its statements. Like the server, it ignores empty ones. */
export function splitStatements(text: string, escapes: boolean): SplitText {
  const lexer = new Lexer(text, escapes)
  const splitter = new Splitter(lexer)
  while (lexer.next() !== 'end') splitter.take()
  splitter.finish()
  const { statements, isAmbiguous } = splitter
  const { unclosed, unclosedAt, hasBackslash, hasNul } = lexer
  return { statements, isAmbiguous, unclosed, unclosedAt, hasBackslash, hasNul }
}

function isWrite(lexer: Lexer): boolean {
  return lexer.is('insert') || lexer.is('update') || lexer.is('delete') || lexer.is('merge') || lexer.is('into')
}

/** A DO block with a late effect counts as `late` alone, since its text doesn't show whether it writes. */
function lateKind(name: string, kind: StatementKind): StatementKind {
  return kind === 'work' && name !== 'do' ? 'both' : 'late'
}

/** Collects the statements from the tokens of one text. */
class Splitter {
  readonly #lexer: Lexer
  readonly statements: SqlStatement[] = []
  isAmbiguous = false
  #words: string[] = []
  /** Whether the next word still belongs to the first words. */
  #isAtHead = true
  /** Whether there is a token that doesn't belong to the first words. */
  #hasMore = false
  #isEmpty = true
  #start = 0
  #end = 0
  #depth = 0
  /** In the body of an SQL-standard function: BEGIN ATOMIC … END. */
  #isInBody = false
  #isLate = false
  #hasReturning = false
  #hasWrites = false
  #before: Before

  constructor(lexer: Lexer) {
    this.#lexer = lexer
  }

  /** Takes the current token of the lexer. */
  take(): void {
    const lexer = this.#lexer
    const before = this.#before
    this.#before = undefined
    if (lexer.symbol === SEMICOLON && this.#depth === 0) {
      if (this.#isInBody) this.#before = 'start of a statement in a body'
      else this.finish()
      return
    }
    if (this.#isEmpty) this.#start = lexer.start
    this.#isEmpty = false
    this.#end = lexer.end
    if (lexer.type === 'word') this.#takeWord(before)
    else this.#takeOther()
  }

  /** Ends the current statement, unless it is empty. */
  finish(): void {
    if (!this.#isEmpty) this.statements.push(this.#statement())
    this.#words = []
    this.#isAtHead = true
    this.#hasMore = false
    this.#isEmpty = true
    this.#depth = 0
    this.#isInBody = false
    this.#isLate = false
    this.#hasReturning = false
    this.#hasWrites = false
    this.#before = undefined
  }

  #statement(): SqlStatement {
    const { name, kind, ends } = classifyStatement(this.#words, !this.#hasMore)
    const isLate = this.#isLate || kind === 'late'
    return {
      name,
      kind: isLate ? lateKind(name, kind) : kind,
      ends,
      words: this.#words,
      start: this.#start,
      end: this.#end,
      isLate,
      mayHaveRows: COMMANDS_WITH_ROWS.has(name) || this.#hasReturning,
      isSelect: SELECTS.has(name) && !this.#hasWrites,
    }
  }

  #takeWord(before: Before): void {
    const lexer = this.#lexer
    if (this.#isAtHead && this.#words.length < MOST_WORDS) this.#words.push(lowerCase(lexer.written))
    else this.#hasMore = true
    const [first] = this.#words
    if (first === 'create') this.#takeWordOfCreate(before)
    if (lexer.is('with')) this.#before = 'with'
    else if (before === 'with' && lexer.is('hold')) this.#isLate = true
    else if (lexer.is('returning')) this.#hasReturning = true
    else if (lexer.is('pg_notify')) this.#isLate = true
    else if (isWrite(lexer)) this.#hasWrites ||= before !== 'for'
    else if (lexer.is('for') || lexer.is('key')) this.#before = 'for' // FOR UPDATE, FOR NO KEY UPDATE
  }

  /** A semicolon in a function's body doesn't end the statement. END does, where a statement of the body would begin. */
  #takeWordOfCreate(before: Before): void {
    const lexer = this.#lexer
    if (this.#isInBody) {
      if (before === 'start of a statement in a body' && lexer.is('end')) this.#isInBody = false
      // A body within a body, or a column with an odd name: the text doesn't show which END belongs to which BEGIN.
      else if (before === 'begin' && lexer.is('atomic')) this.isAmbiguous = true
      else if (lexer.is('begin')) this.#before = 'begin'
    } else if (before === 'begin' && lexer.is('atomic')) {
      this.#isInBody = true
      this.#before = 'start of a statement in a body'
    } else if (this.#depth === 0 && lexer.is('begin') && this.#createsRoutine()) this.#before = 'begin'
  }

  #createsRoutine(): boolean {
    const [, second, , fourth] = this.#words
    const what = second === 'or' ? fourth : second
    return what === 'function' || what === 'procedure'
  }

  #takeOther(): void {
    const lexer = this.#lexer
    const isOpening = lexer.symbol === OPENING
    if (isOpening) this.#depth++
    else if (lexer.symbol === CLOSING && this.#depth > 0) this.#depth--
    if (this.#words.length > 0 || !isOpening) {
      this.#isAtHead = false
      this.#hasMore = true
    }
    if (lexer.type === 'name' && lexer.written === '"pg_notify"') this.#isLate = true
    // The body of a DO block is a string.
    if (lexer.type === 'string' && this.#words[0] === 'do' && mentionsLate(lexer.written)) this.#isLate = true
  }
}
