import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { digitsIn, numberIn, rowsIn, truthIn, wordIn } from '../../../packages/core/src/commit/answer.ts'
import { type Ask, readServerReport } from '../../../packages/core/src/commit/server-report.ts'
import { readServer, type TransactionIdentity } from '../../../packages/core/src/commit/verdict.ts'
import { availableConnections } from '../../../packages/core/src/guard/capacity.ts'

describe('the rows of an answer', () => {
  test('are those of one result', () => {
    expect(rowsIn({ rows: [{ a: '1' }] })).toEqual([{ a: '1' }])
    expect(rowsIn({ rows: [] })).toEqual([])
  })

  test.each([
    ['two results', [{ rows: [] }, { rows: [] }]],
    ['nothing', undefined],
    ['null', null],
    ['no rows', {}],
    ['rows that are none', { rows: 'x' }],
    ['a row that is null', { rows: [null] }],
    ['a row that is a list', { rows: [['1']] }],
    ['a text', 'SELECT 1'],
  ])('are not known of %s', (_, result) => {
    expect(rowsIn(result)).toBeUndefined()
  })
})

test('numbers are what 64 bits take, words those that are known, truth is yes or no; all else is unknown', () => {
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

const SERVER = '42 1700000000 7000000000000000001 00000001 1600000000 1600000001'
const ASKED = { ...readServer(SERVER), transactionId: '1000' } as TransactionIdentity
const RIGHT = { server: SERVER, next_xid: '2000', is_first: 'false', status: 'committed', wait_event: null }
const nonsense = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    '',
    '0',
    '-1',
    '9'.repeat(100_000),
    'unknown',
    'COMMITTED',
    true,
    {},
    [],
    Number.NaN,
  ),
  fc.string(),
  fc.anything(),
)

test('whatever a server says of itself and of a transaction, it is a testimony, or unknown and said so', async () => {
  const columns = fc.constantFrom(...Object.keys(RIGHT).filter((column) => column !== 'wait_event'))
  const property = fc.asyncProperty(columns, nonsense, async (column, value) => {
    const ask: Ask = async () => [{ ...RIGHT, [column]: value }]
    const heard = await readServerReport(ASKED, ask).catch((error: Error) => error.message)
    if (typeof heard === 'string') {
      expect(heard).toMatch(/makes no sense$/)
      return
    }
    // What is believed is well formed.
    expect([null, 'committed', 'aborted', 'in progress']).toContain(heard?.status)
    expect(heard?.witness.nextTransactionId).toMatch(/^\d{1,20}$/)
    expect(heard?.witness.server.timeline).toMatch(/^[\dA-F]{8}$/i)
  })
  await fc.assert(property, { numRuns: 500 })
})

test('a server that says nothing of itself is a standby; what it says of a transaction must be there', async () => {
  expect(await readServerReport(ASKED, async () => [])).toBeUndefined()
  const silent: Ask = async (sql) => (sql.includes('pg_xact_status') ? [] : [RIGHT])
  await expect(readServerReport(ASKED, silent)).rejects.toThrow(
    'what the server says of the transaction makes no sense',
  )
})

test('whatever a server says of its limits, they are numbers, or unknown', async () => {
  const right = { superuser: 'f', role: '-1', database: '-1', server: '100', reserved: '3' }
  const property = fc.asyncProperty(fc.constantFrom(...Object.keys(right)), nonsense, async (column, value) => {
    const granted = await availableConnections(async () => [{ ...right, [column]: value }])
    expect(granted === undefined || Number.isSafeInteger(granted)).toBe(true)
  })
  await fc.assert(property, { numRuns: 500 })
})

test.each(['server', 'reserved'])(
  'a server whose limit `%s` is negative has said nothing of its limits',
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

test('whatever a server says of itself, it is read completely, or not at all', () => {
  const part = fc.oneof(fc.constantFrom('42', '00000001', '', '1.5', '9'.repeat(100_000), "'", 'x'), fc.string())
  const property = fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
    const server = readServer(parts.join(' ')) ?? {}
    expect(Object.values(server).join(' ')).toMatch(/^[\dA-F. ]{0,200}$/i)
  })
  fc.assert(property, { numRuns: 500 })
})
