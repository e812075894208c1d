import { describe, expect, test } from 'vitest'
import { effectsOfQuery } from '../../../packages/core/src/sql/query-effects.ts'
import { splitStatements } from '../../../packages/core/src/sql/split-statements.ts'
import { isSelect, kindOf, onlyRollsBack, takesEffectLate } from '../../../packages/core/src/sql/statement.ts'
import { CountedText } from './counted-text.ts'

const SIZE = 100_000
/** How often each character may be looked at, on average. */
const MOST_LOOKS = 8

/** Texts that make a careless reader look again and again at the same characters. */
const TEXTS: Readonly<Record<string, string>> = {
  'a comment that opens others': `select 1 ${'/* '.repeat(SIZE / 3)}`,
  'comments in comments': `${'/*'.repeat(SIZE / 4)}${'*/'.repeat(SIZE / 4)} select 1`,
  'stars and slashes': `/*${'*/*'.repeat(SIZE / 3)}`,
  'many comments': `${'/**/'.repeat(SIZE / 4)}select 1`,
  'many line comments': `${'--\n'.repeat(SIZE / 3)}select 1`,
  'a line comment': '-'.repeat(SIZE),
  'the tags of dollar quotes': Array.from({ length: SIZE / 8 }, (_, index) => `$a${index}$`).join(' '),
  'one tag, again and again': '$a$'.repeat(SIZE / 3),
  'dollars without a tag': '$'.repeat(SIZE),
  'tags that never end': '$a '.repeat(SIZE / 3),
  'a tag that is long': `$${'a'.repeat(SIZE / 2)}$${'a'.repeat(SIZE / 2)}`,
  'names with dollars': 'a$'.repeat(SIZE / 2),
  quotes: "'".repeat(SIZE + 1),
  'double quotes': '"'.repeat(SIZE + 1),
  'literals that never go on': "e'' \n".repeat(SIZE / 5),
  'line comments behind a literal': `e''${'--\n'.repeat(SIZE / 3)}`,
  'literals with line comments': "e''--\n\n".repeat(SIZE / 7),
  backslashes: `e'${'\\'.repeat(SIZE)}`,
  operators: '+*<>'.repeat(SIZE / 4),
  'operators and comments': '+--\n'.repeat(SIZE / 4),
  'divisions and comments': '+/**/'.repeat(SIZE / 5),
  numbers: '1e'.repeat(SIZE / 2),
  points: '.'.repeat(SIZE),
  parentheses: '('.repeat(SIZE),
  semicolons: '; '.repeat(SIZE / 2),
  statements: 'commit;'.repeat(SIZE / 7),
  words: 'with hold returning into '.repeat(SIZE / 25),
  'one word': 'a'.repeat(SIZE),
  'common table expressions': `with ${'a as (insert into b values (1)), '.repeat(SIZE / 34)} c as (select 1) select 1`,
}

describe.each([true, false])('with backslashes that escape: %s', (escapes) => {
  test.each(Object.entries(TEXTS))('a text of %s is read in time that is linear in its length', (_what, text) => {
    const counted = new CountedText(text)
    splitStatements(counted.asString(), escapes)
    expect(counted.steps / text.length).toBeLessThan(MOST_LOOKS)
    expect(counted.steps).toBeGreaterThanOrEqual(text.length / 2)
  })

  test.each(Object.entries(TEXTS))('a text of %s is searched for functions in linear time, too', (_what, text) => {
    const counted = new CountedText(text)
    effectsOfQuery(counted.asString(), escapes)
    expect(counted.steps / text.length).toBeLessThan(MOST_LOOKS)
  })
})

// Vitest's imports make each look at a character ten times as slow as it is.
test('a block comment of 16 MB is read, and so is what stands behind it', { timeout: 60_000 }, () => {
  const comment = `/*${'x'.repeat(16 * 1024 * 1024)}*/`
  expect(kindOf(`${comment} commit`, false)).toBe('commit')
  expect(onlyRollsBack(`${comment} rollback`)).toBe(true)
  expect(takesEffectLate(`${comment} notify a`)).toBe(true)
})

test.each(Object.entries(TEXTS))('an SQL text of %s has an answer to each question', (_what, text) => {
  expect(typeof isSelect(text)).toBe('boolean')
  expect(onlyRollsBack(text)).toBe(false)
  expect(kindOf(text, false)).toBeTypeOf('string')
})
