import { KnownTexts } from './known-texts.ts'

/**
 * What a statement can do to the transaction that it runs in:
 * - `begin`: opens one, and does nothing else;
 * - `commit`: ends it, and has its work written;
 * - `rollback`: ends it, and undoes its work;
 * - `setup`: neither writes nor ends it, and may have to come before its first snapshot (SET TRANSACTION, LOCK);
 * - `work`: may write, and leaves it open;
 * - `late`: takes effect when the transaction commits, and not before: NOTIFY, a cursor that is to outlive it;
 * - `opaque`: can't be told from its text: several statements, COPY, whatever only the driver knows;
 * - `hidden`: that, and what is late may be in it.
 */
export type StatementKind = 'begin' | 'commit' | 'rollback' | 'setup' | 'work' | 'late' | 'opaque' | 'hidden'

const FIRST_WORD = /^\s*(\w+)/
const ONLY_ROLLS_BACK = /^\s*(?:rollback|abort)(?:\s+(?:work|transaction))?(?:\s+and(?:\s+no)?\s+chain)?[\s;]*$/i
const TO_SAVEPOINT = /^\s*rollback\s+(?:(?:work|transaction)\s+)?to\s/i
const LATE = /\b(?:hold|notify)\b/i
const KINDS: ReadonlyMap<string, StatementKind> = new Map(
  Object.entries<StatementKind>({
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
    notify: 'late', // Delivered by COMMIT, without an id before it.
    copy: 'opaque',
    prepare: 'opaque', // PREPARE TRANSACTION leaves no open transaction behind.
  }),
)
// A dollar within a name begins no string; a comment ends with the line, whichever way lines end.
const QUOTED =
  /'[^']*'|"[^"]*"|(?<![\w$\u0080-\uffff])\$((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[\s\S]*?\$\1\$|--[^\n\r]*|\/\*(?:[^*]|\*(?!\/))*\*\//g
const HAS_COMMENT = /--|\/\*/
const SEVERAL = /;\s*[^\s;]/

const KNOWN = [new KnownTexts<StatementKind>(), new KnownTexts<StatementKind>()] as const

/** The kind of a statement; `undefined` stands for one that is known to the server by its name only. */
export function kindOf(text: string | undefined, hasValues: boolean): StatementKind {
  if (text === undefined) return 'opaque'
  const known = KNOWN[hasValues ? 1 : 0]
  const before = known.of(text)
  if (before) return before
  const kind = read(text, hasValues)
  known.learn(text, kind)
  return kind
}

function read(text: string, hasValues: boolean): StatementKind {
  const needsCare = HAS_COMMENT.test(text) || (!hasValues && SEVERAL.test(text))
  const plain = needsCare ? withoutQuotes(text) : text
  // With parameters the protocol allows but one.
  if (plain === undefined || (!hasValues && SEVERAL.test(plain))) return takesEffectLate(text) ? 'hidden' : 'opaque'
  if (/\bhold\b/i.test(text) && /\bdeclare\b/i.test(text)) return 'late'
  const kind = KINDS.get(FIRST_WORD.exec(plain)?.[1]?.toLowerCase() ?? '') ?? 'work'
  if (kind !== 'rollback' || ONLY_ROLLS_BACK.test(plain)) return kind
  return TO_SAVEPOINT.test(plain) ? 'setup' : 'opaque'
}

/** Without comments, strings and quoted names; undefined if it can't be told where they end without the server's help. */
function withoutQuotes(text: string): string | undefined {
  if (text.includes('\\')) return undefined // It may escape a quote, or not.
  const plain = text.replaceAll(QUOTED, ' ')
  return /\/\*|\*\//.test(plain) ? undefined : plain // Comments nest.
}

/** Whether something may be in a text that takes effect when the transaction commits, and not before. */
export function takesEffectLate(text: string | undefined): boolean {
  return text !== undefined && LATE.test(text)
}
