import pg from 'pg'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { rememberShapes } from '../../../packages/core/src/driver/row-shape.ts'

/** What the driver is made of, as far as it is told here what the rows will be made of. */
interface Describing {
  _activeQuery: unknown
  _handleRowDescription(message: { readonly fields: unknown[] }): void
}

interface Described {
  readonly _results: unknown[]
  readonly _result: {
    command: string | null
    readonly fields: readonly { readonly name: string }[]
    /** The same object for the same shape, where shapes are remembered. */
    readonly _prebuiltEmptyResultObject: object
    addFields?: (fields: unknown[]) => void
  }
}

let client: Describing

beforeEach(() => {
  client = remembering(new pg.Client())
})

function remembering(fresh: pg.Client): Describing {
  rememberShapes(fresh)
  return fresh as unknown as Describing
}

function fieldsOf(names: readonly string[]): { name: string; dataTypeID: number; format: string }[] {
  return names.map((name) => ({ name, dataTypeID: pg.types.builtins.INT4, format: 'text' }))
}

/** The statement, once the server has described its rows. */
function described(text: string, ...names: string[]): Described {
  client._activeQuery = new pg.Query(text, [], () => {})
  client._handleRowDescription({ fields: fieldsOf(names) })
  return client._activeQuery as Described
}

function emptyOf({ _result }: Described): object {
  return _result._prebuiltEmptyResultObject
}

/** How the driver describes it, left alone. */
function byDriver(text: string, ...names: string[]): Described {
  client = new pg.Client() as unknown as Describing
  return described(text, ...names)
}

test('this driver is known: the same rows are found out about once', () => {
  const [first, second] = [described('select once', 'a', 'b'), described('select once', 'a', 'b')]
  expect(emptyOf(second)).toBe(emptyOf(first))
})

test.each([
  { names: ['a', 'b'] },
  { names: ['a', 'b', 'a'] },
  { names: ['2', 'a', '1'] },
  { names: ['__proto__', 'constructor'] },
  { names: [] },
])('the same is kept of $names as by the driver, each time', ({ names }) => {
  const text = `select ${names}`
  const ours = [described(text, ...names), described(text, ...names)]
  const its = byDriver(text, ...names)
  for (const query of ours) {
    expect(query._result).toStrictEqual(its._result)
    expect(Object.keys(query)).toEqual(Object.keys(its))
    if (names.length > 0) expect(Object.keys(emptyOf(query))).toEqual(Object.keys(emptyOf(its)))
  }
})

test.each([
  { change: 'more', names: ['a', 'b', 'c'] },
  { change: 'fewer', names: ['a'] },
  { change: 'other', names: ['a', 'c'] },
])('is found out anew when there are $change columns', ({ change, names }) => {
  const text = `select ${change}`
  described(text, 'a', 'b')
  expect(Object.keys(emptyOf(described(text, ...names)))).toEqual(names)
  expect(Object.keys(emptyOf(described(text, 'a', 'b')))).toEqual(['a', 'b'])
})

test('the second result of a text is the driver’s business, whatever the first was like', () => {
  const query = described('select twice', 'a')
  const first = query._result
  first.command = 'SELECT'
  client._handleRowDescription({ fields: fieldsOf(['a']) })
  expect(query._results).toEqual([first, expect.objectContaining({ fields: [expect.objectContaining({ name: 'a' })] })])
})

test('whatever else the answers may go to describes its rows by itself', () => {
  const cursor = { handleRowDescription: vi.fn() }
  client._activeQuery = cursor
  client._handleRowDescription({ fields: fieldsOf(['a']) })
  expect(cursor.handleRowDescription).toHaveBeenCalledTimes(1)
})

describe('who puts himself in the way sees every description, and spoils nobody else’s', () => {
  /** As libraries do that rename columns: by copies. */
  function renamed<Field extends { readonly name: string }>(fields: readonly Field[]): Field[] {
    return fields.map((field) => ({ ...field, name: field.name.toUpperCase() }))
  }
  /** The columns that are kept each time. */
  function seen(run: () => Described): string[][] {
    return [1, 2, 3].map(() => Object.keys(emptyOf(run())))
  }
  /** Those that anybody else sees. */
  function seenElsewhere(text: string): string[][] {
    client = remembering(new pg.Client())
    return seen(() => described(text, 'a'))
  }
  const renamedEachTime = [['A'], ['A'], ['A']]
  const asTheyAre = [['a'], ['a'], ['a']]

  test('in a client class', () => {
    class Renaming extends pg.Client {
      _handleRowDescription({ fields }: { readonly fields: { name: string }[] }): void {
        const { _handleRowDescription: handle } = pg.Client.prototype as unknown as Describing
        handle.call(this, { fields: renamed(fields) })
      }
    }
    client = remembering(new Renaming())
    expect(seen(() => described('select in class', 'a'))).toEqual(renamedEachTime)
    expect(seenElsewhere('select in class')).toEqual(asTheyAre)
  })

  test('in the result', () => {
    const run = (): Described => {
      const query = new pg.Query('select in result', [], () => {}) as unknown as Described
      const { addFields } = query._result
      query._result.addFields = function (fields) {
        addFields?.call(this, renamed(fields as { name: string }[]))
      }
      client._activeQuery = query
      client._handleRowDescription({ fields: fieldsOf(['a']) })
      return query
    }
    expect(seen(run)).toEqual(renamedEachTime)
    expect(seenElsewhere('select in result')).toEqual(asTheyAre)
  })

  test('in the driver itself, after it was loaded', () => {
    const results = pg.Result.prototype as unknown as { addFields(fields: { name: string }[]): void }
    const { addFields } = results
    results.addFields = function (fields) {
      addFields.call(this, renamed(fields))
    }
    try {
      expect(seen(() => described('select in driver', 'a'))).toEqual(renamedEachTime)
    } finally {
      results.addFields = addFields
    }
    expect(seenElsewhere('select in driver')).toEqual(asTheyAre)
  })

  test('in the driver itself, before this was loaded', async () => {
    const queries = pg.Query.prototype as unknown as {
      handleRowDescription(message: { fields: { name: string }[] }): void
    }
    const { handleRowDescription } = queries
    queries.handleRowDescription = function ({ fields }) {
      handleRowDescription.call(this, { fields: renamed(fields) })
    }
    try {
      vi.resetModules()
      const loaded = await import('../../../packages/core/src/driver/row-shape.ts')
      const fresh = new pg.Client()
      loaded.rememberShapes(fresh)
      client = fresh as unknown as Describing
      expect(seen(() => described('select before', 'a'))).toEqual(renamedEachTime)
    } finally {
      queries.handleRowDescription = handleRowDescription
    }
    expect(seenElsewhere('select before')).toEqual(asTheyAre)
  })

  test('and one that does not work without what another version of the driver gives it stops nobody', async () => {
    const queries = pg.Query.prototype as unknown as { handleRowDescription(...all: unknown[]): void }
    const { handleRowDescription } = queries
    queries.handleRowDescription = () => {
      throw new TypeError('what is missing?')
    }
    try {
      vi.resetModules()
      const loaded = await import('../../../packages/core/src/driver/row-shape.ts')
      expect(() => loaded.rememberShapes(new pg.Client())).not.toThrow()
    } finally {
      queries.handleRowDescription = handleRowDescription
    }
  })
})
