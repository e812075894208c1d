import { CLOSING, lowerCase, OPENING, SEMICOLON } from './characters.ts'
import { type Command, commandOf, type StatementKind } from './command.ts'
import { Lexer, type Unclosed } from './lexer.ts'

/** One statement of a text. */
export interface SqlStatement extends Command {
  /** The words that it begins with, in lower case, and without the parentheses before them: eight at most. */
  readonly words: readonly string[]
  /** Where its first token begins, and its last one ends. */
  readonly start: number
  readonly end: number
  /** Whether something in it takes effect when the transaction commits, and not before. */
  readonly isLate: boolean
  /** Whether it may answer with rows: a query, SHOW, EXPLAIN, FETCH, EXECUTE, CALL, or anything with RETURNING. */
  readonly returnsRows: boolean
  /**
   * Whether it is SELECT, VALUES, TABLE or WITH, and has no part that inserts, updates, deletes or merges, nor INTO. It may
   * lock rows, and call functions that write. Columns that have such a name without quotes are taken for such a part.
   */
  readonly isSelect: boolean
}

/** A text, read with one setting of `standard_conforming_strings`. */
export interface Reading {
  readonly statements: readonly SqlStatement[]
  /** Whether it can't be told where one of them ends. */
  readonly isAmbiguous: boolean
  /** What never closes, if anything, and where it begins. */
  readonly unclosed: Unclosed | undefined
  readonly unclosedAt: number
  /** Whether the text reads differently with the other setting, if at all. */
  readonly hasBackslash: boolean
  readonly hasNul: boolean
}

/** What the token before was, as far as it matters for the next one. */
type Before = 'begin' | 'start of a statement in a body' | 'with' | 'for' | undefined

const MOST_WORDS = 8
const SELECTS: ReadonlySet<string> = new Set(['select', 'values', 'table', 'with'])
const ANSWERS_WITH_ROWS: ReadonlySet<string> = new Set([
  'select',
  'values',
  'table',
  'with',
  'show',
  'explain',
  'fetch',
  'execute',
  'call',
])
const LATE = /\b(?:hold|(?:pg_)?notify)\b/i

/** Whether a text names anything that takes effect when the transaction commits, be it in a string. */
export function namesLate(text: string): boolean {
  return LATE.test(text)
}

/** Splits a text into its statements. Empty ones are none, as for the server. */
export function readText(text: string, escapes: boolean): Reading {
  const lexer = new Lexer(text, escapes)
  const reader = new Reader(lexer)
  while (lexer.next() !== 'end') reader.take()
  reader.finish()
  const { statements, isAmbiguous } = reader
  const { unclosed, unclosedAt, hasBackslash, hasNul } = lexer
  return { statements, isAmbiguous, unclosed, unclosedAt, hasBackslash, hasNul }
}

function isWrite(lexer: Lexer): boolean {
  return lexer.is('insert') || lexer.is('update') || lexer.is('delete') || lexer.is('merge') || lexer.is('into')
}

/** A block is believed to do nothing but what makes it late: what is in it can't be told. */
function lateKind(name: string, kind: StatementKind): StatementKind {
  return kind === 'work' && name !== 'do' ? 'both' : 'late'
}

/** Collects the statements from the tokens of one text. */
class Reader {
  readonly #lexer: Lexer
  readonly statements: SqlStatement[] = []
  isAmbiguous = false
  #words: string[] = []
  /** The first word is still to come, or more of the first words may. */
  #isAtHead = true
  /** A token that belongs to no first words. */
  #hasMore = false
  #isEmpty = true
  #start = 0
  #end = 0
  #depth = 0
  /** In the body of a function of the SQL standard: BEGIN ATOMIC … END. */
  #isInBody = false
  #isLate = false
  #hasReturning = false
  #hasWrites = false
  #before: Before

  constructor(lexer: Lexer) {
    this.#lexer = lexer
  }

  /** Takes the present token of the lexer. */
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

  /** Ends a statement; none, if nothing was in it. */
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
    const { name, kind, ends } = commandOf(this.#words, !this.#hasMore)
    const isLate = this.#isLate || kind === 'late'
    return {
      name,
      kind: isLate ? lateKind(name, kind) : kind,
      ends,
      words: this.#words,
      start: this.#start,
      end: this.#end,
      isLate,
      returnsRows: ANSWERS_WITH_ROWS.has(name) || this.#hasReturning,
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

  /** Semicolons in the body of a function don't end its statement: END does, where a statement of the body would begin. */
  #takeWordOfCreate(before: Before): void {
    const lexer = this.#lexer
    if (this.#isInBody) {
      if (before === 'start of a statement in a body' && lexer.is('end')) this.#isInBody = false
      // A body in a body, or a column with an odd name: it can't be told which END is whose.
      else if (before === 'begin' && lexer.is('atomic')) this.isAmbiguous = true
      else if (lexer.is('begin')) this.#before = 'begin'
    } else if (before === 'begin' && lexer.is('atomic')) {
      this.#isInBody = true
      this.#before = 'start of a statement in a body'
    } else if (this.#depth === 0 && lexer.is('begin') && this.#makesRoutine()) this.#before = 'begin'
  }

  #makesRoutine(): boolean {
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
    // What a block does stands in a string.
    if (lexer.type === 'string' && this.#words[0] === 'do' && namesLate(lexer.written)) this.#isLate = true
  }
}
