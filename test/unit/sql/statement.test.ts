import { describe, expect, test } from 'vitest'
import { isSelect, mayCommit, onlyRollsBack, readSql } from '../../../packages/core/src/sql/statement.ts'

/** The names of the statements of a text. */
const namesIn = (text: string): string[] => readSql(text).statements.map(({ name }) => name)

describe('the statements of a text', () => {
  test.each<[string, readonly string[]]>([
    ['', []],
    [' ;; /* none */ ; -- none', []],
    ['select 1', ['select']],
    ['SELECT 1;', ['select']],
    ['select 1;;select 2', ['select', 'select']],
    ['((select 1))', ['select']],
    ['( ( table a ) ) ; values (1)', ['table', 'values']],
    ['begin; update a set b = 1; commit', ['begin', 'update', 'commit']],
    ['start transaction; end', ['begin', 'commit']],
    ['start a', ['start']],
    ['abort', ['rollback']],
    ['abort and chain', ['rollback and chain']],
    ['rollback transaction and chain', ['rollback and chain']],
    ['rollback to a', ['rollback to']],
    ['commit and chain', ['commit and chain']],
    ['commit and no chain', ['commit']],
    [
      "prepare transaction 'a'; commit prepared 'a'; rollback prepared 'a'",
      ['prepare transaction', 'commit prepared', 'rollback prepared'],
    ],
    ['prepare a as select 1', ['prepare']],
    // Quotes.
    ["select ';'; select 1", ['select', 'select']],
    ["select 'a''; commit'", ['select']],
    ['select ";" ; select 1', ['select', 'select']],
    ['select "a""; commit"', ['select']],
    ["select 'a\n'\n'; commit'", ['select']],
    ["select e'\\'; commit'", ['select']],
    ["select E'\\\\'; commit", ['select', 'commit']],
    ["select e'a'\n'\\'; commit'", ['select']],
    ["select e'a' -- on\n -- and on\n'\\'; commit'", ['select']],
    ["select n'; commit'", ['select']],
    ["select u&'\\0041; commit'", ['select']],
    ["select U&'\\'; commit", ['select', 'commit']],
    ['select u&"; commit"', ['select']],
    ["select b'01; commit'", ['select']],
    ["select x'1'';commit'", ['select']],
    ['select $$; commit$$', ['select']],
    ['select $a$; $$; commit; $a $b$a$', ['select']],
    ['select $ä1$; commit$ä1$', ['select']],
    ['select $1; commit', ['select', 'commit']],
    ['select $1$a$; commit$a$', ['select']],
    ['select a$a$; commit; select a$a$', ['select', 'commit', 'select']],
    ['select ä$a$; commit; select ä$a$', ['select', 'commit', 'select']],
    // Comments.
    ['/* a /* b; */ c; */ commit', ['commit']],
    ['/***/ commit /*/**/;*/', ['commit']],
    ['select 1 -- ; commit\n; commit', ['select', 'commit']],
    ['select 1 -- a\r; commit', ['select', 'commit']],
    ['select 1 +-- ; commit\n2', ['select']],
    ['select 1 +/* ; commit */2', ['select']],
    ['select 1 */2; commit', ['select', 'commit']],
    ["select 1 -- it's\n; commit", ['select', 'commit']],
    ["select '/*'; commit; select '*/'", ['select', 'commit', 'select']],
    ["select '--'; commit", ['select', 'commit']],
    // Semicolons that end nothing.
    ['create rule a as on insert to b do also (insert into c values (1); delete from d)', ['create']],
    ['create rule a as on insert to b do also (insert into c values (1); delete from d); commit', ['create', 'commit']],
    ['create function a() returns int begin atomic select 1; select 2; end', ['create']],
    [
      'create or replace function a() returns int language sql begin atomic select 1; end; commit',
      ['create', 'commit'],
    ],
    [
      'create procedure a(b int) begin atomic insert into c values (case when b > 1 then 2 end); end; commit',
      ['create', 'commit'],
    ],
    ['create function a() returns int begin atomic select 1 as case; end; commit', ['create', 'commit']],
    ['create function a() returns int begin atomic select 1 as end; select 2; end; commit', ['create', 'commit']],
    ['create function a() returns int begin atomic end; commit', ['create', 'commit']],
    ['create function a() returns int begin atomic; end; commit', ['create', 'commit']],
    ['create function begin(atomic int) returns int return 1; commit', ['create', 'commit']],
    ['create function a(begin atomic) returns int return 1; commit', ['create', 'commit']],
    ["create function a() returns int language sql as 'select 1; select 2'; commit", ['create', 'commit']],
    ['create table atomic (begin int); commit', ['create', 'commit']],
    ['begin; create table a (b int); end', ['begin', 'create', 'commit']],
    ['create schema a create table b (c int) create view d as select 1; commit', ['create', 'commit']],
    ['do $$ begin commit; end $$', ['do']],
    ['select (1; 2)', ['select']],
    ['select 1); commit', ['select', 'commit']],
  ])('the statements of %j are %j', (text, names) => {
    expect(namesIn(text)).toEqual(names)
    expect(readSql(text).isSure).toBe(true)
  })

  test('the statements of a text have their start, their end and their first words', () => {
    const text = ' /* a */ create UNIQUE index concurrently "a" on b (c) ; ((select 1))'
    expect(readSql(text).statements).toMatchObject([
      { start: 9, end: 54, words: ['create', 'unique', 'index', 'concurrently'] },
      { start: 57, end: 69, words: ['select'] },
    ])
  })
})

describe('a text that can be read in two ways', () => {
  test.each([
    "select '\\'; commit; --'",
    "select e'a' '\\'; commit; --'", // What goes on behind a literal does so on another line.
    "select ae'\\'; commit; --'", // No sign of a literal, but a name.
    "rollback to a; select '\\''; commit; --'",
    'select 1 /* a; commit',
    "select 'a; commit",
    'select $a$; commit',
    'select 1\0; commit',
    'rollback\0',
  ])('a text that can be read in two ways may do anything: %j', (text) => {
    const sql = readSql(text)
    expect(sql).toMatchObject({ isSure: false, isSingle: false, mayCommit: true, mayEnd: true })
    expect(sql).toMatchObject({ kind: 'opaque', kindWithValues: 'opaque', onlyRollsBack: false, isSelect: false })
  })

  test.each([
    "select 'C:\\dir'; select 'a'",
    "select 'a\\' || $1", // With the other setting the quote would never close.
    "insert into a values ('\\', 1)",
    "select 'a\\b' /* it's */",
    "select 'a\\\\'; commit",
  ])('a text is unambiguous if both readings agree, or if the server refuses one: %j', (text) => {
    expect(readSql(text).isSure).toBe(true)
  })
})

test.each<[string, boolean]>([
  ['commit', true],
  ['end', true],
  ["prepare transaction 'a'", true],
  ["commit prepared 'a'", true],
  ['select 1; commit', true],
  ['rollback; insert into a values (1)', true],
  ['rollback and chain; select 1', true],
  ['select 1; rollback', false],
  ['rollback', false],
  ['select 1; select 2', false],
  ['rollback to a; insert into b values (1)', false],
  ['savepoint commit', false],
  ['call a()', false],
  ['do $$ begin commit; end $$', false],
  ["select 'a; commit'", false],
  ['create function a() returns int begin atomic select 1; end', false],
])('%j may have an open transaction committed: %s', (text, may) => {
  expect(mayCommit(text)).toBe(may)
})

test('a text that only the driver knows may commit', () => {
  expect(mayCommit(undefined)).toBe(true)
})

test.each<[string, boolean]>([
  ['rollback', true],
  ["/* app='web' */ rollback", true],
  ['-- web\nROLLBACK WORK;', true],
  ['rollback transaction and no chain', true],
  ['abort;;', true],
  ['rollback to a', true],
  ['rollback work to savepoint "a"', true],
  ['rollback and chain', false],
  ["rollback prepared 'a'", false],
  ['rollback; rollback', false],
  ['rollback; select 1', false],
  ["rollback 'a'", false],
  ['rollback everything', false],
  ['(rollback)', false],
  ['abort to a', false],
  ['commit', false],
  ['', false],
])('%j only rolls back: %s', (text, only) => {
  expect(onlyRollsBack(text)).toBe(only)
})

describe('a transaction of its own', () => {
  test.each<[string, boolean]>([
    ['begin', true],
    ['begin; set local a.b = 1', true],
    ['begin; insert into a values (1)', true],
    ['begin; commit', false],
    ['begin; rollback; insert into a values (1)', false],
    ['insert into a values (1); begin', false],
    ['', false],
  ])('a transaction of its own is the only statement of %j: %s', (text, isIn) => {
    expect(readSql(text).isInTransactionOfItsOwn).toBe(isIn)
  })
})

test.each<[string, boolean]>([
  ['select 1', true],
  ['values (1)', true],
  ['table a', true],
  ['(select 1) union (select 2)', true],
  ['with a as (select 1) select * from a', true],
  ['select * from a for update', true],
  ['select * from a for no key update skip locked', true],
  ['select "update", "delete" from "merge"', true],
  ["select 'insert'", true],
  ['with a as (insert into b values (1) returning c) select * from a', false],
  ['with a as materialized (delete from b returning c) select * from a', false],
  ['with a as (with b as (select 1) update c set d = 1 returning e) select * from a', false],
  ['with a as (merge into b using c on true when matched then delete returning d) select 1', false],
  ['with a as (select 1) insert into b select * from a', false],
  ['select * into a from b', false],
  ['select 1; select 2', false],
  ['select 1;', true],
  ["select '\\'; delete from a; --'", false],
  ['explain analyze delete from a', false],
  ['insert into a values (1)', false],
  ['', false],
])('%j is a SELECT without parts that write: %s', (text, is) => {
  expect(isSelect(text)).toBe(is)
})

test.each<[string, boolean]>([
  ['select 1', true],
  ['show all', true],
  ['explain select 1', true],
  ['insert into a values (1) returning b', true],
  ['with a as (select 1) delete from b', true],
  ['call a()', true],
  ['insert into a values (1)', false],
  ['insert into "returning" values (\'returning\')', false],
  ['begin', false],
])('%j may answer with rows: %s', (text, does) => {
  expect(readSql(text).statements[0]?.mayHaveRows).toBe(does)
})
