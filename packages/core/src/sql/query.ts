import { CLOSING, DOT, lowerCase, OPENING } from './characters.ts'
import { Lexer } from './lexer.ts'
import { STABLE_FUNCTIONS } from './stable-functions.ts'

/** A function that a query calls, as it is named there. */
export interface CalledFunction {
  /** As it is written before the point; undefined where nothing is. Without quotes it is in lower case. */
  readonly schema: string | undefined
  readonly name: string
}

/** What a SELECT does beyond reading tables and views. */
export interface QueryFacts {
  /** Whether it locks rows: FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE. */
  readonly locks: boolean
  /**
   * The functions that it calls by their names, except those that pg_catalog calls immutable or stable: volatile ones, and
   * such as only the database knows, which may write. Each once.
   */
  readonly otherFunctions: readonly CalledFunction[]
  readonly isUnclosed: boolean
  /** Whether a plain literal has a backslash, so that it may end elsewhere with the other setting. */
  readonly hasBackslash: boolean
}

/**
 * What may stand before a parenthesis without being a function, since no function can have that name (reserved words, and
 * those that can only name columns), and the types that have modifiers. What is written in a way of its own, as
 * `coalesce(…)` and `extract(… from …)`, calls a function of pg_catalog that is immutable or stable, if any. Words that
 * became keywords in PostgreSQL 16 or later are missing: in an older server they may be functions of the user's.
 */
const NO_FUNCTIONS = new Set(
  `all and any array as between bigint bit boolean both case cast char character check coalesce current_time
current_timestamp dec decimal distinct else except exists extract fetch float for from greatest group grouping having in
int integer intersect interval into lateral leading least limit localtime localtimestamp national nchar not null nullif
numeric offset on only or order overlay placing position precision real row select setof smallint some substring
symmetric then time timestamp to trailing trim union using values varchar when where window with xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`.split(/\s/),
)

/** What may stand before a parenthesis only behind one of these: elsewhere a function can have that name. */
const BEHIND: ReadonlyMap<string, readonly string[]> = new Map([
  ['bernoulli', ['tablesample']],
  ['by', ['group', 'order', 'partition']],
  ['filter', [')']],
  ['first', ['fetch']],
  ['materialized', ['as', 'not']],
  ['next', ['fetch']],
  ['over', [')']],
  ['sets', ['grouping']],
  ['system', ['tablesample']],
  ['varying', ['bit', 'char', 'character', 'nchar']],
  ['zone', ['time']],
])
/** Words behind which an expression begins, or a table. Behind all others stands what comes after one. */
const BEGINNERS: ReadonlySet<string> = new Set(
  `all and any array as asymmetric between by case default distinct else escape first for from groups having ilike in is
join lateral like limit next not offset on only or passing path range recursive return returning row rows select set
similar some symmetric then to using values when where with zone`.split(/\s/),
)
/** Before the name of a common table expression. */
const BEFORE_NAMES: ReadonlySet<string> = new Set(['with', 'recursive', ','])
const LOCKS: ReadonlySet<string> = new Set(['update', 'no', 'share', 'key'])

/** What is within one pair of parentheses, or outside of all. */
interface Level {
  /** Between WITH and the statement that it belongs to. */
  isInWith: boolean
  isEmpty: boolean
  /** The list of DISTINCT ON: behind it an expression begins, not the name of what is in parentheses. */
  readonly isDistinctOn: boolean
}

/**
 * Looks at a single SELECT for what it does beyond reading.
 *
 * What can't be seen in its text, and is believed to do no more than read: operators and casts of the user's own, columns
 * that are functions in truth (`t.f` for `f(t)`), views, row security, and a function of the user's that takes its call from
 * one of pg_catalog since its arguments fit better. So whoever runs a read twice has the server hold it to reading
 * (`BEGIN READ ONLY`).
 */
export function factsOfQuery(text: string, escapes: boolean): QueryFacts {
  const lexer = new Lexer(text, escapes)
  const walk = new Walk(lexer)
  while (lexer.next() !== 'end') walk.take()
  const { locks, others } = walk
  return {
    locks,
    otherFunctions: [...others.values()],
    isUnclosed: lexer.unclosed !== undefined,
    hasBackslash: lexer.hasBackslash,
  }
}

class Walk {
  readonly #lexer: Lexer
  locks = false
  readonly others = new Map<string, CalledFunction>()
  /** The parts of the name that ends with the present token, and what was before it. */
  #parts: string[] = []
  #beforeName: readonly [last: string, secondLast: string] = ['', '']
  /** The tokens before: words as they are in lower case, symbols, and for names in quotes a double quote. */
  #last = ''
  #secondLast = ''
  #isBehindDistinctOn = false
  #level: Level = { isInWith: false, isEmpty: true, isDistinctOn: false }
  readonly #outer: Level[] = []

  constructor(lexer: Lexer) {
    this.#lexer = lexer
  }

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
    else this.#isBehindDistinctOn = false
    this.#parts = []
  }

  #open(): void {
    if (this.#parts.length > 0) this.#judge()
    // The statement that a WITH belongs to may stand in parentheses.
    else if (this.#last === ')') this.#level.isInWith = false
    this.#level.isEmpty = false
    this.#outer.push(this.#level)
    const isDistinctOn = this.#last === 'on' && this.#secondLast === 'distinct'
    this.#level = { isInWith: false, isEmpty: true, isDistinctOn }
  }

  #close(): void {
    this.#isBehindDistinctOn = this.#level.isDistinctOn
    this.#level = this.#outer.pop() ?? this.#level
  }

  /** A parenthesis opens behind a name: which may be a function, a keyword, a type, or what has a list of columns. */
  #judge(): void {
    const [last, secondLast] = this.#beforeName
    const isQuoted = this.#last === '"'
    const [name = '', schema, ...more] = this.#parts.toReversed()
    if (last === 'as' || last === '::') return
    if (schema === undefined && last !== '.') {
      if (!isQuoted && (NO_FUNCTIONS.has(name) || isBehind(name, this.#isBehindDistinctOn ? '' : last, secondLast)))
        return
      if (this.#level.isInWith && BEFORE_NAMES.has(last)) return
      if (last === 'ordinality' || (last === ')' && !this.#isBehindDistinctOn)) return
    }
    const isCatalog = schema === undefined || (schema === 'pg_catalog' && more.length === 0)
    if (last === '.' || !isCatalog || !STABLE_FUNCTIONS.has(name))
      this.others.set(this.#parts.join('.'), { schema, name })
  }
}

function isBehind(word: string, last: string, secondLast: string): boolean {
  if (word === 'rollup' || word === 'cube') return last === 'by' && secondLast === 'group'
  if (word === 'join') return isEnd(last)
  if (word === 'like' || word === 'ilike') return isEnd(last) || (last === 'not' && isEnd(secondLast))
  return BEHIND.get(word)?.includes(last) === true
}

/** Whether an expression or a table, with the name that it is given, may end with this token. */
function isEnd(token: string): boolean {
  if (['"', ')', ']', 'string', 'number', 'parameter'].includes(token)) return true
  return /^\w/.test(token) && !['operator', 'end'].includes(token) && !BEGINNERS.has(token)
}

function withoutQuotes(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}
