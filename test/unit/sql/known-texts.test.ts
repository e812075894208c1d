import { expect, test } from 'vitest'
import { KnownTexts } from '../../../packages/core/src/sql/statement.ts'

test('the known texts have what was learned last of a text', () => {
  const known = new KnownTexts<number>()
  expect(known.of('select 1')).toBeUndefined()
  known.learn('select 1', 1)
  known.learn('select 1', 2)
  expect(known.of('select 1')).toBe(2)
  expect(known.of('select 2')).toBeUndefined()
})

test('the known texts are 500 at most, and the latest one is among them', () => {
  const known = new KnownTexts<number>()
  const count = 10_000
  for (let number = 1; number <= count; number++) known.learn(`select ${number}`, number)
  const kept = Array.from({ length: count }, (_, index) => known.of(`select ${index + 1}`)).filter(Boolean)
  expect(kept.length).toBeLessThanOrEqual(500)
  expect(known.of(`select ${count}`)).toBe(count)
})

test('the known texts keep the others when the fact of one changes', () => {
  const known = new KnownTexts<number>()
  for (let number = 1; number <= 500; number++) known.learn(`select ${number}`, number)
  known.learn('select 500', -1)
  expect(known.of('select 1')).toBe(1)
})

test('the known texts have none longer than 10000 characters', () => {
  const known = new KnownTexts<number>()
  const text = `insert into entry values ${"('a'),".repeat(2000)}('b')`
  known.learn(text, 1)
  expect(known.of(text)).toBeUndefined()
})

test('the known texts keep one that is asked for often, however many others are learned', () => {
  const known = new KnownTexts<number>()
  known.learn('select $1', -1)
  for (let number = 1; number <= 10_000; number++) {
    known.learn(`select ${number}`, number)
    expect(known.of('select $1')).toBe(-1)
  }
})
