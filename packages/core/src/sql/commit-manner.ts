import type { SqlText } from './sql-text.ts'

/**
 * How a text that is sent outside of a transaction commits what it writes:
 *
 * - `never`: it concerns only its session, or opens a transaction, so that nothing is left when the session has ended;
 * - `at its end`: it is one statement, which writes nothing for good before it ends;
 * - `as COMMIT`: it is a COMMIT;
 * - `on its way`: it may commit before it ends (CALL, VACUUM), or act outside of its transaction (`dblink`, CREATE DATABASE);
 * - `several`: it may be several statements.
 *
 * What isn't known to end in another way counts as `on its way`.
 */
export type CommitManner = 'never' | 'at its end' | 'as COMMIT' | 'on its way' | 'several'

const SESSION_ONLY = words('begin set reset show listen unlisten deallocate discard close fetch move')
const AT_ITS_END = words(
  `select values table with insert update delete merge explain execute prepare notify lock truncate create drop alter comment
grant revoke refresh reassign savepoint release`,
)
/** What CREATE, DROP and ALTER do outside of a transaction. */
const OUTSIDE = words('database tablespace subscription system')

/**
 * Functions that act outside of their transaction: on another server, on another session, on replication slots or files. A
 * function of the user's may call one, and a foreign table is on another server: a text doesn't show that.
 */
const ACTS_OUTSIDE =
  /\b(?:dblink\w*|pg_(?:terminate|cancel)_backend|pg_logical_\w+|pg_replication_\w+|pg_\w+_slots?|pg_switch_wal|pg_create_restore_point|pg_promote|pg_(?:stat_reset|file|backup)\w*|pg_reload_conf|pg_rotate_logfile|lo_(?:ex|im)port)\b/i

/** How this text commits: `hasValues` says that the protocol allows only one statement. */
export function commitMannerOf(text: string, sql: SqlText, hasValues: boolean): CommitManner {
  const [first, ...more] = sql.statements
  if (!sql.isSure || (more.length > 0 && !hasValues)) return 'several'
  if (!first) return 'never' // An empty text.
  const { name } = first
  if (name === 'commit' || name === 'commit and chain') return 'as COMMIT'
  if (SESSION_ONLY.has(name) || name.startsWith('rollback'))
    return name === 'rollback prepared' ? 'on its way' : 'never'
  if (!AT_ITS_END.has(name) || ACTS_OUTSIDE.test(text)) return 'on its way'
  return isSchemaChange(name) && actsOutside(text, first.words) ? 'on its way' : 'at its end'
}

function isSchemaChange(name: string): boolean {
  return name === 'create' || name === 'drop' || name === 'alter'
}

/** CONCURRENTLY may be behind a quoted name, so the whole text is searched. */
function actsOutside(text: string, [, second = '']: readonly string[]): boolean {
  return OUTSIDE.has(second) || /\bconcurrently\b/i.test(text)
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.split(/\s/))
}
