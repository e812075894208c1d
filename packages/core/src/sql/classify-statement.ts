/**
 * Words that no function can be named, so before a parenthesis they are no call: reserved words, words that can only name
 * columns, and types with modifiers. What has a syntax of its own, such as `coalesce(…)` and `extract(… from …)`, calls an
 * immutable or stable function of pg_catalog, if any. Words that became keywords in PostgreSQL 16 or later are missing: an
 * older server may have functions with these names.
 */
const NO_FUNCTIONS = new Set(
  `all and any array as between bigint bit boolean both case cast char character check coalesce current_time
current_timestamp dec decimal distinct else except exists extract fetch float for from greatest group grouping having in
int integer intersect interval into lateral leading least limit localtime localtimestamp national nchar not null nullif
numeric offset on only or order overlay placing position precision real row select setof smallint some substring
symmetric then time timestamp to trailing trim union using values varchar when where window with xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`.split(/\s/),
)

/** Words that are keywords only after one of these: elsewhere a function can have that name. */
const KEYWORDS_AFTER: ReadonlyMap<string, readonly string[]> = new Map([
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

/** Words after which an expression or a table begins. No expression and no table ends with one of them. */
const BEGINNERS: ReadonlySet<string> = new Set(
  `all and any array as asymmetric between by case default distinct else escape first for from groups having ilike in is
join lateral like limit next not offset on only or passing path range recursive return returning row rows select set
similar some symmetric then to using values when where with zone`.split(/\s/),
)

/**
 * Whether an unquoted word before a parenthesis is a keyword or a type there, so that it calls no function. `last` and
 * `secondLast` are the tokens before the word.
 */
export function isKeywordHere(word: string, last: string, secondLast: string): boolean {
  if (NO_FUNCTIONS.has(word)) return true
  if (word === 'rollup' || word === 'cube') return last === 'by' && secondLast === 'group'
  if (word === 'join') return mayEndOperand(last)
  if (word === 'like' || word === 'ilike') return mayEndOperand(last) || (last === 'not' && mayEndOperand(secondLast))
  return KEYWORDS_AFTER.get(word)?.includes(last) === true
}

/** Whether an expression or a table, its alias included, may end with this token. */
function mayEndOperand(token: string): boolean {
  if (['"', ')', ']', 'string', 'number', 'parameter'].includes(token)) return true
  return /^\w/.test(token) && !['operator', 'end'].includes(token) && !BEGINNERS.has(token)
}

/**
 * What a statement can do to the transaction that it runs in:
 * - `begin`: opens one, and does nothing else;
 * - `commit`: ends it, and has its writes made permanent;
 * - `rollback`: ends it, and undoes its writes;
 * - `setup`: neither writes nor ends it, and may have to come before its first snapshot (SET TRANSACTION, LOCK), or takes none (LISTEN);
 * - `work`: may write, and leaves it open;
 * - `late`: takes effect when the transaction commits, and not before: NOTIFY, a cursor WITH HOLD;
 * - `both`: may write, and part of it takes effect late: a query that calls pg_notify;
 * - `opaque`: its text doesn't show it: several statements, COPY, a statement that only the driver knows;
 * - `hidden`: opaque, and part of it may take effect late.
 */
export type StatementKind = 'begin' | 'commit' | 'rollback' | 'setup' | 'work' | 'late' | 'both' | 'opaque' | 'hidden'

/** What the first words of a statement show. */
export interface StatementClass {
  /**
   * The name of its command in lower case. That is the first word, with the words that matter after it: `commit and chain`,
   * `commit prepared`, `rollback to`, `rollback and chain`, `rollback prepared`, `prepare transaction`. END is `commit`,
   * ABORT is `rollback`, START TRANSACTION is `begin`. Empty if the statement doesn't begin with a word.
   */
  readonly name: string
  readonly kind: StatementKind
  /** How it ends an open transaction, if it does. */
  readonly ends: 'commit' | 'rollback' | undefined
}

const KINDS: ReadonlyMap<string, StatementKind> = new Map<string, StatementKind>([
  ['savepoint', 'setup'],
  ['release', 'setup'],
  ['set', 'setup'],
  ['reset', 'setup'],
  ['show', 'setup'],
  ['lock', 'setup'],
  ['declare', 'setup'],
  ['close', 'setup'],
  ['listen', 'setup'],
  ['unlisten', 'setup'],
  ['checkpoint', 'setup'],
  ['notify', 'late'], // Delivered by COMMIT, and needs no transaction id before it.
  ['copy', 'opaque'],
  ['prepare', 'opaque'],
])

/** Classifies a statement by its first words in lower case. `isAll`: the statement has no other words. */
export function classifyStatement(words: readonly string[], isAll: boolean): StatementClass {
  const [first = '', second] = words
  switch (first) {
    case 'begin':
      return { name: 'begin', kind: 'begin', ends: undefined }
    case 'start':
      if (second === 'transaction') return { name: 'begin', kind: 'begin', ends: undefined }
      break
    case 'commit':
    case 'end':
      return { name: commitName(words), kind: 'commit', ends: 'commit' }
    case 'rollback':
    case 'abort':
      return rollback(words, isAll)
    case 'prepare':
      // PREPARE TRANSACTION leaves no open transaction, and what it has prepared can be committed later.
      if (second === 'transaction') return { name: 'prepare transaction', kind: 'opaque', ends: 'commit' }
  }
  return { name: first, kind: KINDS.get(first) ?? 'work', ends: undefined }
}

function commitName(words: readonly string[]): string {
  if (words[1] === 'prepared') return 'commit prepared'
  return words.includes('chain') && !words.includes('no') ? 'commit and chain' : 'commit'
}

/** Only a statement that follows PostgreSQL's grammar counts as a rollback: the server refuses any other. */
function rollback(words: readonly string[], isAll: boolean): StatementClass {
  const isLong = words[1] === 'work' || words[1] === 'transaction'
  const rest = words.slice(isLong ? 2 : 1)
  if (rest[0] === 'to' && words[0] === 'rollback') return { name: 'rollback to', kind: 'setup', ends: undefined }
  const what = isAll ? rest.join(' ') : undefined
  if (what === '' || what === 'and no chain') return { name: 'rollback', kind: 'rollback', ends: 'rollback' }
  if (what === 'and chain') return { name: 'rollback and chain', kind: 'rollback', ends: 'rollback' }
  return { name: rest[0] === 'prepared' ? 'rollback prepared' : '', kind: 'opaque', ends: 'rollback' }
}
