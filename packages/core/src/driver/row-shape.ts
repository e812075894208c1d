import { isDeepStrictEqual } from 'node:util'
import { Client, Query, Result, types } from 'pg'
import { KnownTexts } from '../sql/known-texts.ts'
import { toError } from '../thrown.ts'
import { type DescribedQuery, type DescribedResult, type FieldDescription, internalsOf } from './internals.ts'

/** What the rows of a statement have been like. */
interface RowShape {
  readonly names: readonly string[]
  readonly empty: object
}

/**
 * Remembers what the rows of each statement look like. The driver finds it out anew for each execution, and how it does is
 * what costs most in all of its JavaScript: it makes an empty row property by property, in an object of a kind that V8
 * knows no short ways for. The names of the columns are compared each time, and the parsers of their types are looked up
 * each time, since both may change. Where anything else has put itself in the way, or the driver isn't one that is known,
 * all is left to the driver.
 */
export function rememberShapes(client: Client): void {
  const internals = internalsOf(client)
  const { _handleRowDescription: handle } = internals
  if (!IS_DRIVER_KNOWN || handle !== HANDLE) return
  internals._handleRowDescription = (message) => {
    const query = internals._getActiveQuery()
    const { fields } = message
    try {
      if (query && isPlain(query) && fields.length > 0) describeAs(shapeOf(query.text, fields), query, fields)
      else handle.call(internals, message)
    } catch (error) {
      if (!(query instanceof Query))
        throw error
        // Of the user's, who chooses parsers. To be told when the server has said all; as the driver does with a parser's own.
      ;(query as unknown as DescribedQuery)._canceledDueToError = error || toError(error)
    }
  }
}

const HANDLE = internalsOf(Client.prototype)._handleRowDescription
const { handleRowDescription: DESCRIBE } = Query.prototype as unknown as DescribedQuery
const { addFields: ADD_FIELDS } = Result.prototype as unknown as DescribedResult
const SHAPES = new KnownTexts<RowShape>()

/** The driver's own statement, in its first result; not a cursor, or one that describes its rows in another way. */
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

/** What the driver does in its place. */
function describeAs({ names, empty }: RowShape, query: DescribedQuery, fields: FieldDescription[]): void {
  const result = query._result
  const parsers = new Array(fields.length)
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index] as FieldDescription
    field.name = names[index] as string // The same; but V8 knows this one as a name of properties.
    parsers[index] = (result._types ?? types).getTypeParser(field.dataTypeID, field.format || 'text')
  }
  result.fields = fields
  result._parsers = parsers
  result._prebuiltEmptyResultObject = empty
  query._accumulateRows = query.callback || query.listeners('row').length === 0
}

/** Whether this version of the driver, with whatever was put around it so far, does just that. */
const IS_DRIVER_KNOWN = ((): boolean => {
  const callback = (): void => {}
  const names = ['snake_case', 'Of Words'] // Whoever renames columns renames these.
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
