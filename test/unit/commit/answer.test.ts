import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { digitsIn, numberIn, rowsIn, truthIn, wordIn } from '../../../packages/core/src/commit/server-report.ts'
import { availableConnections } from '../../../packages/core/src/guard/capacity.ts'
import { nonsense } from './nonsense.ts'

describe('the rows of an answer', () => {
  test('the rows of an answer are those of its only result', () => {
    expect(rowsIn({ rows: [{ a: '1' }] })).toEqual([{ a: '1' }])
    expect(rowsIn({ rows: [] })).toEqual([])
  })

  test.each([
    ['two results', [{ rows: [] }, { rows: [] }]],
    ['nothing', undefined],
    ['null', null],
    ['no rows', {}],
    ['rows that are a text', { rows: 'x' }],
    ['a row that is null', { rows: [null] }],
    ['a row that is a list', { rows: [['1']] }],
    ['a text', 'SELECT 1'],
  ])('the rows of an answer are undefined if it is %s', (_, result) => {
    expect(rowsIn(result)).toBeUndefined()
  })
})

test('reads numbers of at most 64 bits, known words and booleans, and nothing else', () => {
  expect([digitsIn('0'), digitsIn('18446744073709551615')]).toEqual(['0', '18446744073709551615'])
  for (const value of ['', '-1', '1.5', ' 1', '1e3', '9'.repeat(21), '9'.repeat(100_000), 1, null, undefined, {}])
    expect(digitsIn(value)).toBeUndefined()
  expect([numberIn('-1'), numberIn('97'), numberIn(97)]).toEqual([-1, 97, 97])
  for (const value of ['', 'NaN', '9'.repeat(16), Number.NaN, Number.POSITIVE_INFINITY, 1.5, null, true, {}, []])
    expect(numberIn(value)).toBeUndefined()
  expect(wordIn('committed', ['committed', 'aborted'])).toBe('committed')
  for (const value of ['Committed', '', null, undefined, {}]) expect(wordIn(value, ['committed'])).toBeUndefined()
  expect(['t', 'true', true].map(truthIn)).toEqual([true, true, true])
  expect(['f', 'false', false].map(truthIn)).toEqual([false, false, false])
  for (const value of ['yes', '', 1, null, undefined, {}]) expect(truthIn(value)).toBeUndefined()
})

test('the connections that a server grants are a number or unknown, whatever it answers', async () => {
  const right = { superuser: 'f', role: '-1', database: '-1', server: '100', reserved: '3' }
  const property = fc.asyncProperty(fc.constantFrom(...Object.keys(right)), nonsense, async (column, value) => {
    const granted = await availableConnections(async () => [{ ...right, [column]: value }])
    expect(granted === undefined || Number.isSafeInteger(granted)).toBe(true)
  })
  await fc.assert(property, { numRuns: 500 })
})

test.each(['server', 'reserved'])(
  'the connections that a server grants are unknown if its limit `%s` is negative',
  async (column) => {
    const limits = {
      superuser: 'f',
      role: '-1',
      database: '-1',
      server: '100',
      reserved: '3',
      [column]: '-9007199254740892',
    }
    expect(await availableConnections(async () => [limits])).toBeUndefined()
  },
)
