import { loadModule, type ParseResult, parseSync, scanSync } from 'libpg-query'
import { STABLE_FUNCTIONS } from '../../../../packages/core/src/sql/stable-functions.ts'

await loadModule()

/** What PostgreSQL's own parser says of a text. */
export interface Truth {
  /** For each statement, what it does to a transaction, or `-`. */
  readonly controls: readonly string[]
  readonly mayCommit: boolean
  readonly onlyRollsBack: boolean
  readonly isLate: boolean
  readonly returnsRows: boolean
  readonly isSelect: boolean
  readonly isRead: boolean
}

type Node = Readonly<Record<string, unknown>>
type Statement = readonly [type: string, node: Node]

const CONTROLS: Readonly<Record<string, string>> = {
  TRANS_STMT_BEGIN: 'begin',
  TRANS_STMT_START: 'begin',
  TRANS_STMT_COMMIT: 'commit',
  TRANS_STMT_ROLLBACK: 'rollback',
  TRANS_STMT_ROLLBACK_TO: 'rollback to',
  TRANS_STMT_PREPARE: 'prepare transaction',
  TRANS_STMT_COMMIT_PREPARED: 'commit prepared',
  TRANS_STMT_ROLLBACK_PREPARED: 'rollback prepared',
}
const COMMITS: ReadonlySet<string> = new Set(['commit', 'commit and chain', 'commit prepared', 'prepare transaction'])
const ROLLS_BACK: ReadonlySet<string> = new Set(['rollback', 'rollback and chain', 'rollback prepared'])
const WRITES: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])
const ANSWERS: ReadonlySet<string> = new Set(['ExplainStmt', 'VariableShowStmt', 'ExecuteStmt', 'CallStmt'])
/** What stands in these runs another time, if ever. */
const LATER: ReadonlySet<string> = new Set(['CreateFunctionStmt', 'RuleStmt', 'ViewStmt', 'PrepareStmt'])
/** CURSOR_OPT_HOLD of parsenodes.h. */
const HOLD = 0x20

/** The truth about a text; undefined if PostgreSQL refuses it, or libpg-query can't tell. */
export function truthOf(text: string): Truth | undefined {
  const parsed = isBeyondIt(text) ? undefined : parse(text)
  return parsed && judge(parsed)
}

/** Where the tokens of a text begin and end, without its comments; undefined if PostgreSQL's lexer refuses it, or can't tell. */
export function tokensOf(text: string): readonly (readonly [start: number, end: number])[] | undefined {
  if (isBeyondIt(text)) return undefined
  try {
    const { tokens } = scanSync(text)
    const isComment = (name: string): boolean => name === 'C_COMMENT' || name === 'SQL_COMMENT'
    return tokens.filter(({ tokenName }) => !isComment(tokenName)).map(({ start, end }) => [start, end] as const)
  } catch {
    return undefined
  }
}

function parse(text: string): ParseResult | undefined {
  try {
    return parseSync(text)
  } catch {
    return undefined
  }
}

/**
 * In PostgreSQL a literal may go on behind a line comment. libpg-query's lexer, which makes tokens of comments, doesn't know
 * that: test/integration/sql-literals.test.ts asks the server itself.
 */
function isBeyondIt(text: string): boolean {
  return /'\s*(?:--[^\n\r]*[\n\r]\s*)+'/.test(text)
}

function judge({ stmts = [] }: ParseResult): Truth {
  const statements = stmts.map(({ stmt }) => Object.entries(stmt as object)[0] as Statement)
  const controls = statements.map(controlOf)
  const [only] = statements.length === 1 ? statements : []
  const isSelect = only !== undefined && only[0] === 'SelectStmt' && !has(only, isWrite)
  return {
    controls,
    mayCommit: controls.some(
      (each, index) => COMMITS.has(each) || (ROLLS_BACK.has(each) && index < controls.length - 1),
    ),
    onlyRollsBack: controls.length === 1 && (controls[0] === 'rollback' || controls[0] === 'rollback to'),
    isLate: statements.some((each) => !LATER.has(each[0]) && has(each, isLate)),
    returnsRows: statements.some(returnsRows),
    isSelect,
    isRead: isSelect && !has(only as Statement, isNoRead),
  }
}

function controlOf([type, { kind, chain }]: Statement): string {
  const control = type === 'TransactionStmt' ? CONTROLS[kind as string] : undefined
  return control === undefined ? '-' : chain ? `${control} and chain` : control
}

function returnsRows([type, node]: Statement): boolean {
  if (type === 'SelectStmt') return node.intoClause === undefined
  if (type === 'FetchStmt') return node.ismove !== true
  return ANSWERS.has(type) || (WRITES.has(type) && node.returningClause !== undefined)
}

/** Whether this holds for a node, or for one in it. */
function has(statement: Statement, holds: (node: Statement) => boolean): boolean {
  const open: unknown[] = [Object.fromEntries([statement])]
  while (open.length > 0) {
    const value = open.pop()
    if (Array.isArray(value)) open.push(...value)
    else if (typeof value === 'object' && value !== null)
      for (const [key, each] of Object.entries(value)) {
        if (holds([key, each as Node])) return true
        open.push(each)
      }
  }
  return false
}

function isWrite([type]: Statement): boolean {
  return WRITES.has(type) || type === 'intoClause'
}

function isLate([type, node]: Statement): boolean {
  if (type === 'NotifyStmt') return true
  if (type === 'DeclareCursorStmt') return (Number(node.options) & HOLD) !== 0
  return type === 'FuncCall' && namesOf(node.funcname).at(-1) === 'pg_notify'
}

function isNoRead([type, node]: Statement): boolean {
  if (type === 'lockingClause') return true
  return type === 'FuncCall' && !isStable(node)
}

/** What is written in a way of its own, `extract(… from …)`, is of pg_catalog, whatever its name. */
function isStable({ funcname, funcformat }: Node): boolean {
  const names = namesOf(funcname)
  if (funcformat === 'COERCE_SQL_SYNTAX') return true
  const name = names.at(-1) ?? ''
  return (names.length === 1 || (names.length === 2 && names[0] === 'pg_catalog')) && STABLE_FUNCTIONS.has(name)
}

function namesOf(names: unknown): string[] {
  return (names as readonly { String: { sval: string } }[]).map(({ String: { sval } }) => sval)
}
