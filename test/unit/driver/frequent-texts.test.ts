import { describe, expect, test } from 'vitest'
import { FrequentTexts, type PrepareStopped } from '../../../packages/core/src/driver/frequent-texts.ts'
import type { Clock } from '../../../packages/core/src/runtime/clock.ts'

function texts(threshold = 5): { texts: FrequentTexts; stopped: PrepareStopped[]; clock: { at: number } } {
  const clock = { at: 0, now: () => clock.at }
  const stopped: PrepareStopped[] = []
  const settings = { threshold, max: 100, needsProof: true }
  return { texts: new FrequentTexts(settings, clock as unknown as Clock, (each) => stopped.push(each)), stopped, clock }
}

/** Where a text may be prepared that was sent so often. */
function whereOf(text: string): string | undefined {
  return texts(1).texts.count(text)?.where
}

describe('where a text may be prepared', () => {
  test.for([
    'select $1',
    'SELECT count(*) FROM item WHERE id = $1',
    'select count( * ) from item where id = $1 /* all */',
    '(select $1) union (select 2)',
    'with x as (select $1::int) select x from x',
    'insert into item values ($1)',
    'update item set n = $1',
    'delete from item where id = $1',
    'merge into item using other on item.id = other.id when matched and other.n = $1 then delete',
    'values ($1)',
    'select $1;',
    'select id from item where at < now() and day = current_date and id = $1',
  ])('anywhere: %s', (text) => expect(whereOf(text)).toBe('anywhere'))

  test.for([
    'select * from item where id = $1',
    'select*from item where id = $1',
    'select item.* from item where id = $1',
    'insert into item values ($1) returning *',
    'select count(*) from (select * from item) x where id = $1',
    'select $1 * 2',
  ])('outside of transactions: %s', (text) => expect(whereOf(text)).toBe('outside'))

  test.for([
    'explain select $1',
    'call f($1)',
    'create table item as select $1',
    'set x = $1',
    'begin',
    '',
    ';',
    'select 1; select $1',
    'declare c cursor for select $1',
    "select id from item where day = 'today' and id = $1",
    "select id from item where at < 'NOW' and id = $1",
    "select timestamp 'tomorrow 04:05', $1",
    'select id from item where day > $$yesterday$$ and id = $1',
  ])('nowhere: %s', (text) => expect(whereOf(text)).toBe('nowhere'))

  test('nowhere: a text of more than 10,000 characters', () => {
    expect(whereOf(`select $1 -- ${'x'.repeat(10_000)}`)).toBeUndefined()
  })
})

test('a name is made from the whole text', () => {
  const { texts: known } = texts(1)
  const names = ['select $1', 'select  $1', 'SELECT $1'].map((text) => known.count(text)?.name)
  expect(new Set(names).size).toBe(3)
  for (const name of names) expect(name).toMatch(/^hf_[0-9a-f]{40}$/)
  expect(texts(1).texts.count('select $1')?.name).toBe(names[0])
})

test('unique texts are forgotten, and one that comes again and again meanwhile is not', () => {
  const { texts: known } = texts()
  for (let time = 0; time < 100_000; time++) {
    known.count(`select $1 as n${time}`)
    if (time % 100 === 0) known.count('select $1')
  }
  expect(known.count('select $1')?.count).toBe(1001)
  expect(known.count('select $1 as n1')?.count).toBe(1)
})

describe('a text that changes make stale', () => {
  test('in a transaction, is prepared outside of transactions only, also when it was forgotten meanwhile', () => {
    const { texts: known } = texts(1)
    const text = known.count('select $1')
    if (text) known.noteChange(text, false)
    expect(text?.where).toBe('outside')
    for (let time = 0; time < 1000; time++) known.count(`select $1 as n${time}`)
    expect(known.count('select $1')).not.toBe(text)
    expect(known.count('select $1')?.where).toBe('outside')
  })

  test('again and again, is prepared no more', () => {
    const { texts: known, stopped, clock } = texts(1)
    const text = known.count('select $1')
    for (let time = 0; text && time < 8; time++, clock.at += 2000) known.noteChange(text, true)
    expect(text?.where).toBe('nowhere')
    expect(stopped).toEqual([{ reason: 'changes-often', text: 'select $1' }])
  })

  test('once, on many connections at the same time, stays prepared', () => {
    const { texts: known, stopped, clock } = texts(1)
    const text = known.count('select $1')
    for (let time = 0; text && time < 100; time++, clock.at += 2) known.noteChange(text, true)
    expect([text?.where, stopped]).toEqual(['anywhere', []])
  })

  test('now and then, stays prepared', () => {
    const { texts: known, stopped, clock } = texts(1)
    const text = known.count('select $1')
    for (let time = 0; text && time < 100; time++, clock.at += 3_600_000) known.noteChange(text, true)
    expect([text?.where, stopped]).toEqual(['anywhere', []])
  })
})

test('names that are lost twice within a minute turn it off, once', () => {
  const { texts: known, stopped, clock } = texts()
  known.noteLost()
  clock.at += 61_000
  known.noteLost()
  expect(known.isOff).toBe(false)
  clock.at += 59_000
  known.noteLost()
  known.noteLost()
  expect([known.isOff, stopped]).toEqual([true, [{ reason: 'names-lost', text: undefined }]])
})

test('a text that is slower under its name is prepared no more', () => {
  const { texts: known, stopped } = texts(1)
  const text = known.count('select $1')
  if (text) known.stopSlow(text, { namedMillis: 20, unnamedMillis: 2 })
  expect(text?.where).toBe('nowhere')
  expect(stopped).toEqual([{ reason: 'slower', text: 'select $1', namedMillis: 20, unnamedMillis: 2 }])
})
