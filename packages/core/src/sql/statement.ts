import type { StatementKind } from './classify-statement.ts'
import { type CommitManner, commitMannerOf } from './commit-manner.ts'
import { SqlText } from './sql-text.ts'

// Programs send the same texts many times. Those that write their values into the text fill this with texts that are never
// sent again.
const MOST_KNOWN = 500
// Longer texts mostly consist of values and are rarely sent again: they would only take memory.
const LONGEST_KNOWN = 10_000

/**
 * What has been found out about the texts of statements: a cache of the least recently used kind. It has two generations
 * instead of an order of use, so that finding a text writes nothing: this runs several times for each statement, and a
 * `Map` that keeps the order of use would delete and insert a key each time.
 */
export class KnownTexts<Fact> {
  #young = new Map<string, Fact>()
  /** Texts that were not asked for since the young generation began. They go when the next one begins. */
  #old = new Map<string, Fact>()

  /** What was learned of a text; undefined if nothing was, or if the text has not been asked for in a long time. */
  of(text: string): Fact | undefined {
    const fact = this.#young.get(text)
    if (fact !== undefined) return fact
    const old = this.#old.get(text)
    if (old !== undefined) this.#keep(text, old)
    return old
  }

  /** Keeps a fact in place of the one before. A very long text is not kept. */
  learn(text: string, fact: Fact): void {
    if (text.length <= LONGEST_KNOWN) this.#keep(text, fact)
  }

  #keep(text: string, fact: Fact): void {
    if (this.#young.size >= MOST_KNOWN / 2 && !this.#young.has(text)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, fact)
  }
}

export type { StatementKind } from './classify-statement.ts'
export type { CommitManner } from './commit-manner.ts'
export { outlineOf } from './outline.ts'
export type { CalledFunction } from './query-effects.ts'
export type { SqlStatement } from './split-statements.ts'
export type { SqlText } from './sql-text.ts'

// The one reader of SQL: the rest of the package asks these questions, and imports no other file of this folder.

const KNOWN = new KnownTexts<SqlText>()

/** Reads a text of SQL once, and remembers the texts that come again. */
export function readSql(text: string): SqlText {
  const known = KNOWN.of(text)
  if (known) return known
  const read = new SqlText(text)
  KNOWN.learn(text, read)
  return read
}

/** What a statement does to its transaction. `undefined` is a statement that the server knows by name only. */
export function kindOf(text: string | undefined, hasValues: boolean): StatementKind {
  if (text === undefined) return 'opaque'
  const sql = readSql(text)
  return hasValues ? sql.kindWithValues : sql.kind
}

/** How this text commits what it writes, outside of a transaction. `undefined` is a text that only the driver knows. */
export function mannerOf(text: string | undefined, hasValues: boolean): CommitManner {
  return text === undefined ? 'several' : commitMannerOf(text, readSql(text), hasValues)
}

/** Whether part of this text may take effect when the transaction commits, and not before. */
export function takesEffectLate(text: string | undefined): boolean {
  return text !== undefined && readSql(text).isLate
}

/** Whether this text may commit an open transaction. `undefined` is a text that only the driver knows. */
export function mayCommit(text: string | undefined): boolean {
  return text === undefined || readSql(text).mayCommit
}

/** Whether this statement only undoes. On a connection that was lost before COMMIT, the server has done so already. */
export function onlyRollsBack(text: string | undefined): boolean {
  return text !== undefined && readSql(text).onlyRollsBack
}

/** Whether this text asks for a COMMIT, and for no ROLLBACK. If the server answers with ROLLBACK, nothing was written. */
export function asksForCommit(text: string | undefined): boolean {
  return text !== undefined && readSql(text).asksForCommit
}

/**
 * Whether this text is a single query without a part that writes: SELECT, VALUES, TABLE or WITH without INSERT, UPDATE,
 * DELETE, MERGE and INTO. Locks (FOR UPDATE) and functions that write are not considered. In doubt the answer is no.
 */
export function isSelect(text: string): boolean {
  return readSql(text).isSelect
}

/**
 * The word by which this text would begin or end a transaction, as it is written; undefined if it does neither. Savepoints
 * don't count. Only the first statement is considered: what follows it is noticed when it is done.
 */
export function transactionControlIn(text: string | undefined): string | undefined {
  const statement = text === undefined ? undefined : readSql(text).statements[0]
  if (!statement || (statement.name !== 'begin' && statement.ends === undefined)) return undefined
  return CONTROL.exec((text as string).slice(statement.start, statement.end))?.[0]
}

/** A name of two words, or the first word. */
const CONTROL = /^(?:start|prepare)\s+transaction\b|^\w+/i

/** Statements that the server plans: they read or write rows, and take parameters. */
const PLANNED: ReadonlySet<string> = new Set([
  'select',
  'insert',
  'update',
  'delete',
  'merge',
  'values',
  'table',
  'with',
])

/** Whether this text is a single statement that the server can plan once and execute many times. In doubt the answer is no. */
export function isPlannable(text: string): boolean {
  const { isSingle, statements } = readSql(text)
  return isSingle && PLANNED.has(statements[0]?.name ?? '')
}

const CHANGES: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge'])

/** Whether this text is a single INSERT, UPDATE, DELETE or MERGE, without WITH in front. */
export function isDataChange(text: string): boolean {
  const { isSingle, statements } = readSql(text)
  return isSingle && CHANGES.has(statements[0]?.name ?? '')
}

const SEARCH_PATH = /search_path|\bset\s+(?:local\s+|session\s+)?schema\b/i

/** Whether this text may change in which schemas names are looked up, so that the next statement means other tables. */
export function mayChangeSearchPath(text: string): boolean {
  return SEARCH_PATH.test(text)
}
