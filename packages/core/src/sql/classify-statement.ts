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
