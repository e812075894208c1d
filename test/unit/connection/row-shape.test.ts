import pg from 'pg'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { rememberShapes } from '../../../packages/core/src/connection/row-shape.ts'

/** What the driver is made of, as far as it is told here what the rows will be made of. */
interface Describing {
  _activeQuery: unknown
  _handleRowDescription(message: { readonly fields: unknown[] }): void
}

let client: Describing
const addFields = vi.spyOn(pg.Result.prototype as unknown as { addFields(): void }, 'addFields')

beforeEach(() => {
  client = new pg.Client() as unknown as Describing
  rememberShapes(client as unknown as pg.Client)
})
afterEach(() => addFields.mockClear())

/** The statement, once the server has described its rows. */
function describe(text: string, ...names: string[]): Record<string, unknown> {
  const query = new pg.Query(text, [], () => {})
  client._activeQuery = query
  client._handleRowDescription({
    fields: names.map((name) => ({ name, dataTypeID: pg.types.builtins.INT4, format: 'text' })),
  })
  return query as unknown as Record<string, unknown>
}

test('this driver is known: it is asked for a shape once, and has the same of it afterwards', () => {
  const [first, second] = [describe('select once', 'a', 'b'), describe('select once', 'a', 'b')]
  expect(addFields).toHaveBeenCalledTimes(1)
  expect(second._result).toStrictEqual(first._result)
  expect(Object.keys(second)).toEqual(Object.keys(first))
})

test.each([
  { change: 'more', names: ['a', 'b', 'c'] },
  { change: 'fewer', names: ['a'] },
  { change: 'other', names: ['a', 'c'] },
  { change: 'the same columns in another order', names: ['b', 'a'] },
])('is asked again when there are $change', ({ change, names }) => {
  const text = `select ${change}`
  describe(text, 'a', 'b')
  const query = describe(text, ...names)
  expect(addFields).toHaveBeenCalledTimes(2)
  expect(Object.keys((query._result as Record<string, object>)._prebuiltEmptyResultObject as object)).toEqual(names)
})

test('a statement of another text has its own shape', () => {
  describe('select this', 'a')
  describe('select that', 'a')
  expect(addFields).toHaveBeenCalledTimes(2)
})

test('the second result of a text is the driver’s business, whatever the first was like', () => {
  describe('select twice', 'a')
  const query = describe('select twice', 'a') as unknown as { _result: { command: string }; _results: unknown[] }
  const first = query._result
  first.command = 'SELECT'
  client._handleRowDescription({ fields: [{ name: 'b', dataTypeID: 23, format: 'text' }] })
  expect(addFields).toHaveBeenCalledTimes(2)
  expect(query._results).toEqual([first, expect.objectContaining({ fields: [expect.objectContaining({ name: 'b' })] })])
})

test('whatever else the answers may go to describes its rows by itself', () => {
  const cursor = { handleRowDescription: vi.fn() }
  client._activeQuery = cursor
  client._handleRowDescription({ fields: [] })
  expect(cursor.handleRowDescription).toHaveBeenCalledTimes(1)
})
