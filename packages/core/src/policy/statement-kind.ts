/**
 * What a statement can do to the transaction that it runs in:
 * - `begin`: opens one, and does nothing else;
 * - `commit`: ends it, and has its work written;
 * - `rollback`: ends it, and undoes its work;
 * - `setup`: neither writes nor ends it, and may have to come before its first snapshot (SET TRANSACTION, LOCK);
 * - `work`: may write, and leaves it open;
 * - `late`: may write when the transaction commits, and not before: a cursor that is to outlive it;
 * - `opaque`: can't be told from its text: several statements, COPY, whatever only the driver knows.
 */
export type StatementKind = 'begin' | 'commit' | 'rollback' | 'setup' | 'work' | 'late' | 'opaque'

// A comment can't be read in two ways here, or a text that begins with many would take for ever.
export const LEADING: string = String.raw`(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*`
const TO_SAVEPOINT = /\brollback\s+(?:(?:work|transaction)\s+)?to\b/i
const FIRST_WORD = new RegExp(`^${LEADING}(\\w+)`)
const KINDS: Readonly<Record<string, StatementKind>> = {
  begin: 'begin',
  start: 'begin',
  commit: 'commit',
  end: 'commit',
  rollback: 'rollback',
  abort: 'rollback',
  savepoint: 'setup',
  release: 'setup',
  set: 'setup',
  reset: 'setup',
  show: 'setup',
  lock: 'setup',
  declare: 'setup',
  close: 'setup',
  copy: 'opaque',
  prepare: 'opaque', // PREPARE TRANSACTION leaves no open transaction behind.
}
const QUOTED = /'[^']*'|"[^"]*"|\$(\w*)\$[\s\S]*?\$\1\$|--[^\n]*|\/\*(?:[^*]|\*(?!\/))*\*\//g
const SEVERAL = /;\s*[^\s;]/

/** The kind of a statement; `undefined` stands for one without a text, which is prepared by name. */
export function kindOf(text: string | undefined, hasValues: boolean): StatementKind {
  if (text === undefined) return 'work'
  // With parameters the protocol allows but one.
  if (!hasValues && SEVERAL.test(text) && hasSeveral(text)) return 'opaque'
  const word = FIRST_WORD.exec(text)?.[1]?.toLowerCase() ?? ''
  if (word === 'rollback' && TO_SAVEPOINT.test(text)) return 'setup'
  if (word === 'declare' && /\bhold\b/i.test(text)) return 'late'
  return KINDS[word] ?? 'work'
}

/** A backslash may escape a quote, or not: the server's settings know. */
function hasSeveral(text: string): boolean {
  return text.includes('\\') || SEVERAL.test(text.replaceAll(QUOTED, ' '))
}
