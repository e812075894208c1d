import { isKeywordHere } from './classify-statement.ts'
import { Lexer } from './lexer.ts'
import { CLOSING, DOT, lowerCase, OPENING } from './quotes-and-comments.ts'
import { STABLE_FUNCTIONS } from './stable-functions.ts'

/** A function that a query calls, as the query names it. */
export interface CalledFunction {
  /** The name before the last dot, in lower case unless it is quoted; undefined if there is none. */
  readonly schema: string | undefined
  readonly name: string
}

/** What a SELECT does beyond reading tables and views. */
export interface QueryEffects {
  /** Whether it locks rows: FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE. */
  readonly locks: boolean
  /**
   * The functions that it calls by name, except those that pg_catalog declares immutable or stable. That leaves volatile
   * ones, and ones that only the database knows; both may write. Each is listed once.
   */
  readonly otherFunctions: readonly CalledFunction[]
  readonly isUnclosed: boolean
  /** Whether a plain literal has a backslash, so that it may end elsewhere with the other setting. */
  readonly hasBackslash: boolean
}

/** The tokens before the name of a common table expression. */
const BEFORE_CTE_NAMES: ReadonlySet<string> = new Set(['with', 'recursive', ','])
const LOCKS: ReadonlySet<string> = new Set(['update', 'no', 'share', 'key'])

/** What is inside one pair of parentheses, or outside of all. */
interface Level {
  /** Between WITH and the statement that it belongs to. */
  isInWith: boolean
  isEmpty: boolean
  /** The list of DISTINCT ON. An expression begins after it, not an alias for what is in parentheses. */
  readonly isDistinctOn: boolean
}

/**
 * Examines a single SELECT for what it does beyond reading.
 *
 * Its text doesn't show everything. These count as reading: user-defined operators and casts, columns that are really
 * functions (`t.f` for `f(t)`), views, row security, and a user-defined function that is called in place of one of
 * pg_catalog because its arguments fit better. So a read may run twice only where the server enforces reading
 * (`BEGIN READ ONLY`).
 */
export function effectsOfQuery(text: string, escapes: boolean): QueryEffects {
  const lexer = new Lexer(text, escapes)
  const scan = new QueryScan(lexer)
  while (lexer.next() !== 'end') scan.take()
  const { locks, otherFunctions } = scan
  return {
    locks,
    otherFunctions: [...otherFunctions.values()],
    isUnclosed: lexer.unclosed !== undefined,
    hasBackslash: lexer.hasBackslash,
  }
}

class QueryScan {
  readonly #lexer: Lexer
  locks = false
  readonly otherFunctions = new Map<string, CalledFunction>()
  /** The parts of the name that ends with the current token, and the tokens before that name. */
  #parts: string[] = []
  #beforeName: readonly [last: string, secondLast: string] = ['', '']
  /** The tokens before: words in lower case, symbols as they are, and a double quote for a quoted name. */
  #last = ''
  #secondLast = ''
  #isAfterDistinctOn = false
  #level: Level = { isInWith: false, isEmpty: true, isDistinctOn: false }
  readonly #outer: Level[] = []

  constructor(lexer: Lexer) {
    this.#lexer = lexer
  }

  /** Takes the current token of the lexer. */
  take(): void {
    const last = this.#takeToken()
    this.#secondLast = this.#last
    this.#last = last
  }

  #takeToken(): string {
    const lexer = this.#lexer
    const { type } = lexer
    if (type === 'word') {
      const word = lowerCase(lexer.written)
      this.#takeWord(word)
      return word
    }
    if (type === 'name') {
      this.#extendName(withoutQuotes(lexer.written))
      return '"'
    }
    this.#takeOther(lexer.symbol)
    return type === 'symbol' ? lexer.written : type
  }

  #takeWord(word: string): void {
    const level = this.#level
    if (level.isEmpty && word === 'with') level.isInWith = true
    else if (word === 'select' || word === 'values' || word === 'table') level.isInWith = false
    this.#extendName(word)
    if (this.#last === 'for' && LOCKS.has(word)) this.locks = true
  }

  #extendName(part: string): void {
    this.#level.isEmpty = false
    if (this.#last === '.' && this.#parts.length > 0) {
      this.#parts.push(part)
      return
    }
    this.#parts = [part]
    this.#beforeName = [this.#last, this.#secondLast]
  }

  #takeOther(symbol: number): void {
    if (symbol === DOT && this.#parts.length > 0) return
    if (symbol === OPENING) this.#open()
    else this.#level.isEmpty = false
    if (symbol === CLOSING) this.#close()
    else this.#isAfterDistinctOn = false
    this.#parts = []
  }

  #open(): void {
    if (this.#parts.length > 0) this.#takeCall()
    // The statement that a WITH belongs to may be in parentheses.
    else if (this.#last === ')') this.#level.isInWith = false
    this.#level.isEmpty = false
    this.#outer.push(this.#level)
    const isDistinctOn = this.#last === 'on' && this.#secondLast === 'distinct'
    this.#level = { isInWith: false, isEmpty: true, isDistinctOn }
  }

  #close(): void {
    this.#isAfterDistinctOn = this.#level.isDistinctOn
    this.#level = this.#outer.pop() ?? this.#level
  }

  /** Notes the function that is called, if the name before this parenthesis is one, and not known to be stable. */
  #takeCall(): void {
    const [last] = this.#beforeName
    const [name = '', schema, ...more] = this.#parts.toReversed()
    if (last === 'as' || last === '::') return
    if (schema === undefined && last !== '.' && !this.#isCall(name)) return
    const isCatalog = schema === undefined || (schema === 'pg_catalog' && more.length === 0)
    if (last === '.' || !isCatalog || !STABLE_FUNCTIONS.has(name))
      this.otherFunctions.set(this.#parts.join('.'), { schema, name })
  }

  /** Whether a name without a schema is a function here, not a keyword, a type, or something with a list of columns. */
  #isCall(name: string): boolean {
    const [last, secondLast] = this.#beforeName
    const isQuoted = this.#last === '"'
    if (!isQuoted && isKeywordHere(name, this.#isAfterDistinctOn ? '' : last, secondLast)) return false
    if (this.#level.isInWith && BEFORE_CTE_NAMES.has(last)) return false
    return last !== 'ordinality' && (last !== ')' || this.#isAfterDistinctOn)
  }
}

function withoutQuotes(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}
