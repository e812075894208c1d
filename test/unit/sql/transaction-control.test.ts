import { expect, test } from 'vitest'
import { transactionControlIn } from '../../../packages/core/src/sql/statement.ts'

test.each([
  ['COMMIT', 'COMMIT'],
  ['commit;', 'commit'],
  [' \n Commit and chain', 'Commit'],
  ['end transaction', 'end'],
  ['begin isolation level serializable', 'begin'],
  ['start  transaction', 'start  transaction'],
  ['rollback', 'rollback'],
  ['rollback work', 'rollback'],
  ['ROLLBACK; select 1', 'ROLLBACK'],
  ["rollback prepared 'to'", 'rollback'],
  ['abort', 'abort'],
  ["prepare transaction 'x'", 'prepare transaction'],
  ['-- by hand\n commit', 'commit'],
  ['/* one */ /* **two** */ commit', 'commit'],
])('%o would begin or end a transaction', (text, word) => {
  expect(transactionControlIn(text)).toBe(word)
})

test.each([
  'select 1',
  'savepoint mine',
  'release mine',
  'rollback to mine',
  'ROLLBACK TO SAVEPOINT mine',
  'rollback work to mine',
  'rollback transaction to savepoint mine',
  'prepare plan as select 1',
  'set transaction read only',
  "insert into note values ('x; commit')",
  "select 'commit'",
  '-- commit',
  '/* commit */ select 1',
  'create function f() returns void language plpgsql as $$ begin perform 1; end $$',
  'committed',
  'endpoint',
  '',
  undefined,
])('%o would neither begin nor end a transaction', (text) => {
  expect(transactionControlIn(text)).toBeUndefined()
})

test('a text that begins with many comments is read in one go', () => {
  const text = `${'/**/'.repeat(50_000)}select 1`
  expect(transactionControlIn(text)).toBeUndefined()
})
