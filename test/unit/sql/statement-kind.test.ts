import { describe, expect, test } from 'vitest'
import { kindOf, type StatementKind } from '../../../packages/core/src/sql/statement.ts'

const TEXTS: Readonly<Record<StatementKind, readonly string[]>> = {
  begin: [
    'begin',
    'BEGIN;',
    'begin isolation level serializable',
    'start transaction',
    ' \n\tBegin Work',
    '-- a\nbegin',
  ],
  commit: [
    'commit',
    'COMMIT;',
    ' commit ',
    'commit work',
    'commit transaction',
    'commit and chain',
    'commit and no chain',
    'end',
    'END TRANSACTION;',
    'end; ',
    '-- last\ncommit',
    '-- last\rcommit',
    '/* last */ commit',
    '/***/commit',
    '/* a */ -- b\n /* c */ commit -- d',
    'commit; -- done',
    'commit; /* done */',
    "commit prepared 'a'",
    '/* a /* b */ c */ commit',
    '; commit',
    ';; /* none */ ; commit',
  ],
  rollback: [
    'rollback',
    'ROLLBACK;',
    'rollback work',
    'rollback transaction;',
    'abort',
    'abort work',
    'rollback and chain',
    'rollback work and no chain',
    'rollback /* all */',
    '-- undo\nrollback',
    'rollback;;',
  ],
  setup: [
    'savepoint a',
    'release savepoint a',
    'release a',
    'rollback to a',
    'ROLLBACK TO SAVEPOINT a',
    'rollback work to a',
    'rollback transaction to savepoint a',
    'rollback /* but only */ to a',
    'rollback -- but only\n to savepoint a',
    'rollback/**/to/**/a',
    'set transaction read only',
    'listen a',
    'unlisten *',
    'checkpoint',
    '',
    ';',
    '-- nothing',
    "set local a.b = '1'",
    'reset all',
    'show all',
    'lock table a',
    'declare a cursor for select 1',
    'close a',
  ],
  work: [
    'select 1',
    'select 1;',
    '(select 1)',
    'insert into a values (1)',
    "insert into a values ('; commit')",
    'select 1 as "; commit"',
    'select $$; commit$$; ',
    'select $a$; $$ commit$a$',
    'select 1 -- ; commit',
    'select 1 /* ; commit */',
    'with a as (select 1) select 1',
    'do $$ begin perform 1; end $$',
    'call a()',
    'execute a',
    'fetch a',
    'truncate a',
    'commitment',
    'committed',
    'constructor',
    '__proto__',
    'vacuum',
    '/* a /* b */ */ select 1',
    "select 'a; b'",
    "select 'a', 'first; second'",
    'select 1; -- done',
    'select 1; /* done; */',
    'do $$ begin perform 1; perform 2; end $$',
    "do 'begin perform 1; end'",
    "select 'notify'",
    "select 'C:\\dir\\'",
    "select e'it\\'s; commit'",
    'create function f() returns int begin atomic select 1; select 2; end',
    'create rule r as on insert to t do also (select 1; select 2)',
    'declare_cursor',
  ],
  late: [
    'notify a',
    "NOTIFY a, 'b'",
    'declare a cursor with hold for select 1',
    'DECLARE a BINARY CURSOR WITH HOLD FOR SELECT 1',
    'declare a cursor /* but */ with /* a */ hold for select 1',
    '/* a */ declare a cursor with hold for select 1',
    '/* a /* b */ */ declare a cursor with hold for select 1',
    'declare "a" no scroll cursor with hold for select 1',
    "do $$ begin perform pg_notify('a', 'b'); end $$",
    "do $$ begin execute 'declare a cursor with hold for select 1'; end $$",
  ],
  both: [
    "select pg_notify('a', 'b')",
    "select pg_catalog.PG_NOTIFY('a', 'b')",
    `select "pg_notify"('a', 'b')`,
    "with a as (insert into b values (1) returning c) select pg_notify('a', c) from a",
  ],
  hidden: [
    "select 1; select pg_notify('a', 'b')",
    'notify a /* not closed',
    'notify a; notify b',
    'select 1; declare a cursor with hold for select 1',
    "select '\\'; notify a; --'",
  ],
  opaque: [
    'select 1; select 2',
    'insert into a values (1); commit',
    'commit; begin',
    'commit;commit',
    "select 'a'; select 'b'",
    'copy a from stdin',
    'copy a to stdout',
    "prepare transaction 'a'",
    'prepare a as select 1',
    "rollback prepared 'a'",
    "select '\\'; commit; --'",
    'select 1 /* not closed; commit',
    'select 1 as a$b$; commit; select 1 as a$b$', // A name may have a $ in it.
    'select 1 as ä$b$; commit; select 1 as ä$b$',
    'select 1 -- a\r; commit', // A carriage return ends a comment, too.
  ],
}

/** Without parameters; with them, see below. */
describe.each(Object.entries(TEXTS) as [StatementKind, readonly string[]][])('%s', (kind, texts) => {
  test.each(texts)('%j', (text) => {
    expect(kindOf(text, false)).toBe(kind)
  })
})

test('a statement that is known by its name alone is opaque', () => {
  expect(kindOf(undefined, false)).toBe('opaque')
  expect(kindOf(undefined, true)).toBe('opaque')
})

test.each([
  ['select $1; select 2', 'work'],
  ["insert into a values ($1 || '; ')", 'work'],
  ['commit', 'commit'],
  ['rollback to a', 'setup'],
] as const)('with parameters, the protocol allows only one statement: %j is %s', (text, kind) => {
  expect(kindOf(text, true)).toBe(kind)
})

test.each(['-- a\n', '/* a */', ' ', '\n', '/**/', "-- it's\n", '/* " */'])(
  'what comes before the first word changes nothing: %j',
  (leading) => {
    for (const [kind, text] of [
      ['begin', 'begin'],
      ['commit', 'commit'],
      ['rollback', 'rollback'],
      ['setup', 'rollback to a'],
      ['work', 'select 1'],
      ['late', 'notify a'],
    ] as const)
      expect(kindOf(leading.repeat(3) + text, false)).toBe(kind)
  },
)

test.each([
  ['-- not closed'.repeat(50_000), 'setup'],
  ['/* a */ '.repeat(50_000), 'setup'],
  ['/*'.repeat(50_000), 'opaque'],
  ["'".repeat(50_001), 'work'],
  [`${"select '".repeat(20_000)}; commit`, 'opaque'],
  ['; '.repeat(50_000), 'setup'],
  ['$a$'.repeat(20_001), 'work'],
] as const)('the kind is found in reasonable time, even for a text that goes on like this: %.12s…', (text, kind) => {
  expect(kindOf(text, false)).toBe(kind)
})
