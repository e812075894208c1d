import { isDeepStrictEqual } from 'node:util'
import { Client, Query, Result, types } from 'pg'
import { KnownTexts } from '../sql/statement.ts'
import { toError } from '../thrown.ts'
import { type DescribedQuery, type DescribedResult, type FieldDescription, internalsOf } from './internals.ts'

/** What the rows of a statement were like the last time. */
interface RowShape {
  readonly names: readonly string[]
  readonly empty: object
}

/**
 * Remembers what the rows of each statement look like. The driver builds an empty row for each execution, property by
 * property, in an object that V8 has no fast path for: that is the dearest part of all its JavaScript. Here the empty row
 * of the last execution is used again. The names of the columns are compared each time, and the parsers of their types are
 * looked up each time, since both may change. Where other code has replaced a part of the driver, or the driver is a version
 * that works in another way, the driver describes its rows itself. `HOLDFAST_ROW_SHAPES=off` in the environment has the
 * same effect.
 */
export function rememberShapes(client: Client): void {
  const internals = internalsOf(client)
  const { _handleRowDescription: handle } = internals
  if (IS_OFF || !IS_DRIVER_KNOWN || handle !== HANDLE) return
  internals._handleRowDescription = (message) => {
    const query = internals._getActiveQuery()
    const { fields } = message
    try {
      if (query && isPlain(query) && fields.length > 0) describeAs(shapeOf(query.text, fields), query, fields)
      else handle.call(internals, message)
    } catch (error) {
      if (!(query instanceof Query))
        throw error
        // A type parser of the user's has thrown. The driver rejects the statement with it when the server is ready again,
        // as it does for a parser that throws on a value.
      ;(query as unknown as DescribedQuery)._canceledDueToError = error || toError(error)
    }
  }
}

/** Read once, when this module is loaded. */
const IS_OFF = process.env.HOLDFAST_ROW_SHAPES === 'off'

const HANDLE = internalsOf(Client.prototype)._handleRowDescription
const { handleRowDescription: DESCRIBE } = Query.prototype as unknown as DescribedQuery
const { addFields: ADD_FIELDS } = Result.prototype as unknown as DescribedResult
const SHAPES = new KnownTexts<RowShape>()

/** Whether this is the driver's own statement, in its first result: no cursor, and nothing that describes rows otherwise. */
function isPlain(query: object): query is DescribedQuery {
  const { text, handleRowDescription, _result: result } = query as DescribedQuery
  const isDriversOwn = handleRowDescription === DESCRIBE && result.addFields === ADD_FIELDS
  return isDriversOwn && typeof text === 'string' && result.command === null
}

function shapeOf(text: string, fields: readonly FieldDescription[]): RowShape {
  const known = SHAPES.of(text)
  if (known && isOf(known, fields)) return known
  const shape = newShape(fields.map(({ name }) => name))
  SHAPES.learn(text, shape)
  return shape
}

function newShape(names: readonly string[]): RowShape {
  return { names, empty: Object.fromEntries(names.map((name) => [name, null])) }
}

function isOf({ names }: RowShape, fields: readonly FieldDescription[]): boolean {
  if (names.length !== fields.length) return false
  for (let index = 0; index < names.length; index++) if (names[index] !== fields[index]?.name) return false
  return true
}

/** Does what the driver's own method would do. */
function describeAs({ names, empty }: RowShape, query: DescribedQuery, fields: FieldDescription[]): void {
  const result = query._result
  const parsers = new Array(fields.length)
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index] as FieldDescription
    field.name = names[index] as string // The same text, but V8 has this string as a property name already.
    parsers[index] = (result._types ?? types).getTypeParser(field.dataTypeID, field.format || 'text')
  }
  result.fields = fields
  result._parsers = parsers
  result._prebuiltEmptyResultObject = empty
  query._accumulateRows = query.callback || query.listeners('row').length === 0
}

/** Whether this version of the driver, together with what was patched into it so far, does exactly what `describeAs` does. */
const IS_DRIVER_KNOWN = ((): boolean => {
  const callback = (): void => {}
  const names = ['snake_case', 'Of Words'] // Code that renames columns renames these.
  const fieldsOf = (): FieldDescription[] =>
    names.map((name) => ({ name, dataTypeID: types.builtins.INT4, format: 'text' }))
  try {
    const client = Object.create(Client.prototype)
    const [its, ours] = [0, 1].map(() => new Query<never, never>({ text: '', types, callback } as never))
    client._activeQuery = its
    internalsOf(client)._handleRowDescription({ fields: fieldsOf() })
    describeAs(newShape(names), ours as unknown as DescribedQuery, fieldsOf())
    return internalsOf(client)._getActiveQuery() === its && isDeepStrictEqual(its, ours)
  } catch {
    return false
  }
})()
