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
