import pg from 'pg'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { rememberShapes } from '../../../packages/core/src/driver/row-shape.ts'

/** The part of the driver's client that receives the description of the rows. */
interface Describing {
  _activeQuery: unknown
  _handleRowDescription(message: { readonly fields: unknown[] }): void
}

interface Described {
  readonly _results: unknown[]
  readonly _result: {
    command: string | null
    readonly fields: readonly { readonly name: string }[]
    /** The same object for each execution, where shapes are remembered. */
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

/** A statement whose rows the server has described. */
function described(text: string, ...names: string[]): Described {
  client._activeQuery = new pg.Query(text, [], () => {})
  client._handleRowDescription({ fields: fieldsOf(names) })
  return client._activeQuery as Described
}

function emptyOf({ _result }: Described): object {
  return _result._prebuiltEmptyResultObject
}

/** The same statement, described by the driver without this module. */
function byDriver(text: string, ...names: string[]): Described {
  client = new pg.Client() as unknown as Describing
  return described(text, ...names)
}

test('reuses the empty row of the last execution', () => {
  const [first, second] = [described('select once', 'a', 'b'), described('select once', 'a', 'b')]
  expect(emptyOf(second)).toBe(emptyOf(first))
})

test.each([
  { names: ['a', 'b'] },
  { names: ['a', 'b', 'a'] },
  { names: ['2', 'a', '1'] },
  { names: ['__proto__', 'constructor'] },
  { names: [] },
])('describes the columns $names exactly as the driver does, each time', ({ names }) => {
  const text = `select ${names}`
  const ours = [described(text, ...names), described(text, ...names)]
  const its = byDriver(text, ...names)
  for (const query of ours) {
    expect(query._result).toStrictEqual(its._result)
    expect(Object.keys(query)).toEqual(Object.keys(its))
    if (names.length > 0) expect(Object.keys(emptyOf(query))).toEqual(Object.keys(emptyOf(its)))
  }
})

test('remembers nothing with HOLDFAST_ROW_SHAPES=off in the environment', async () => {
  vi.stubEnv('HOLDFAST_ROW_SHAPES', 'off')
  try {
    vi.resetModules()
    const loaded = await import('../../../packages/core/src/driver/row-shape.ts')
    const fresh = new pg.Client()
    loaded.rememberShapes(fresh)
    client = fresh as unknown as Describing
    const [first, second] = [described('select off', 'a'), described('select off', 'a')]
    expect(emptyOf(second)).not.toBe(emptyOf(first))
    expect(emptyOf(second)).toStrictEqual(emptyOf(first))
    expect(Object.hasOwn(fresh, '_handleRowDescription')).toBe(false)
  } finally {
    vi.unstubAllEnvs()
  }
})

test.each([
  { change: 'more', names: ['a', 'b', 'c'] },
  { change: 'fewer', names: ['a'] },
  { change: 'other', names: ['a', 'c'] },
])('builds a new empty row when a statement returns $change columns', ({ change, names }) => {
  const text = `select ${change}`
  described(text, 'a', 'b')
  expect(Object.keys(emptyOf(described(text, ...names)))).toEqual(names)
  expect(Object.keys(emptyOf(described(text, 'a', 'b')))).toEqual(['a', 'b'])
})

test('leaves the second result of a text to the driver', () => {
  const query = described('select twice', 'a')
  const first = query._result
  first.command = 'SELECT'
  client._handleRowDescription({ fields: fieldsOf(['a']) })
  expect(query._results).toEqual([first, expect.objectContaining({ fields: [expect.objectContaining({ name: 'a' })] })])
})

test('leaves a cursor to describe its rows itself', () => {
  const cursor = { handleRowDescription: vi.fn() }
  client._activeQuery = cursor
  client._handleRowDescription({ fields: fieldsOf(['a']) })
  expect(cursor.handleRowDescription).toHaveBeenCalledTimes(1)
})

describe('code that renames columns sees every description, and changes those of no other client', () => {
  /** Renames columns as libraries do: by copies. */
  function renamed<Field extends { readonly name: string }>(fields: readonly Field[]): Field[] {
    return fields.map((field) => ({ ...field, name: field.name.toUpperCase() }))
  }
  /** The columns after each of three executions. */
  function seen(run: () => Described): string[][] {
    return [1, 2, 3].map(() => Object.keys(emptyOf(run())))
  }
  /** The same for a client that renames nothing. */
  function seenElsewhere(text: string): string[][] {
    client = remembering(new pg.Client())
    return seen(() => described(text, 'a'))
  }
  const renamedEachTime = [['A'], ['A'], ['A']]
  const asTheyAre = [['a'], ['a'], ['a']]

  test('renamed columns are seen when a client class overrides the method', () => {
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

  test('renamed columns are seen when a result has an `addFields` of its own', () => {
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

  test('renamed columns are seen when the driver is patched after this module was loaded', () => {
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

  test('renamed columns are seen when the driver is patched before this module is loaded', async () => {
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

  test('the module loads, although a patch throws for want of a part that another version of the driver has', async () => {
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
