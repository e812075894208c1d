import { expect, test } from 'vitest'
import { outlineOf } from '../../../packages/core/src/sql/outline.ts'

test.each([
  ['select 1', 'select ?'],
  ["update account set note = 'secret' where id=$1", 'update account set note = ? where id=$1'],
  ["select e'it\\'s', $$body$$, $tag$ 'x' $tag$ -- a comment", 'select ?, ?, ?'],
  ['select /* trace: abc */ "Name",\n\t n::int from t', 'select "Name", n::int from t'],
  ["select 'a'\n  'continued', 1.5e3", 'select ?, ?'],
  ["select 1 as one, 'never closed", 'select ? as one,…'],
  ["select 'back\\', secret'", 'select…'],
  ['', ''],
])('%j is shown as %j', (text, outline) => {
  expect(outlineOf(text)).toBe(outline)
})

test('a long statement is cut, and a very long one is not read to its end', () => {
  const long = `select ${Array.from({ length: 1_000_000 }, (_, index) => `column_${index}`).join(', ')}`
  const outline = outlineOf(long)
  expect(outline).toMatch(/^select column_0, column_1, .*…$/)
  expect(outline.length).toBe(121)
})
