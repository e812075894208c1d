import { readSql, type SqlText, type StatementKind } from '../sql/statement.ts'

// Which statements run in a transaction that the pool begins and ends itself. `transactional` asks for it, for one statement;
// `transactionalWrites` does for every write.

/** They change what the driver knows of its session, and the pool looks for that outside of a transaction only. */
const OF_THE_SESSION: ReadonlySet<string> = new Set(['discard', 'deallocate'])

/** What counts as a write, by the first word, where it isn't a plain read. CALL and DO may commit by themselves. */
const WRITES: ReadonlySet<string> = new Set(
  'insert update delete merge select values table with truncate create alter drop comment grant revoke refresh import notify'.split(
    ' ',
  ),
)

/** Volatile, and without an effect: a statement that calls them may run twice, and its first result is as good as its second. */
const HARMLESS: ReadonlySet<string> = new Set([
  'random',
  'random_normal',
  'clock_timestamp',
  'timeofday',
  'gen_random_uuid',
  'uuidv4',
  'uuidv7',
])

/** active_sql_transaction: this statement can't run in a transaction. */
export const NOT_IN_A_TRANSACTION = '25001'

/** Whether a statement can go into one write with its BEGIN. `kind` is as it is sent: with parameters, or without. */
export function isEnclosable(text: string | undefined, kind: StatementKind): boolean {
  if (text === undefined || (kind !== 'work' && kind !== 'both' && kind !== 'late')) return false
  const sql = readSql(text)
  return sql.isSingle && !OF_THE_SESSION.has(nameOf(sql))
}

/** Whether a statement may write something, and can be enclosed. In doubt it may. */
export function isEnclosableWrite(text: string | undefined, kind: StatementKind): boolean {
  if (!isEnclosable(text, kind)) return false
  const sql = readSql(text as string)
  return WRITES.has(nameOf(sql)) && functionsToAsk(sql)?.length !== 0
}

/**
 * The functions that keep a statement from being a plain read, unless the database declares them immutable or stable;
 * undefined if it is no read for another reason. Empty for a plain read.
 */
export function functionsToAsk(
  sql: SqlText,
): { readonly schema: string | undefined; readonly name: string }[] | undefined {
  return sql.otherFunctions?.filter(
    ({ schema, name }) => !((schema === undefined || schema === 'pg_catalog') && HARMLESS.has(name)),
  )
}

/** Functions whose answer belongs to one session. */
const OF_ITS_SESSION = /pg_backend_pid|inet_client_port|pg_my_temp_schema|pg_listening_channels/i

/** Whether this text is a plain read that any session of a pool answers alike. In doubt the answer is no. */
export function isPlainReadOfAnySession(text: string): boolean {
  return functionsToAsk(readSql(text))?.length === 0 && !OF_ITS_SESSION.test(text)
}

function nameOf({ statements }: SqlText): string {
  return statements[0]?.name ?? ''
}
