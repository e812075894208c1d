import { isDeepStrictEqual } from 'node:util'
import { type Client, Query, types } from 'pg'
import { KnownTexts } from '../policy/known-texts.ts'
import { type DescribedQuery, type FieldDescription, internalsOf } from './driver.ts'

/** What the rows of a statement have been like. */
interface RowShape {
  readonly names: readonly string[]
  readonly empty: object
}

/**
 * Remembers what the rows of each statement look like. The driver finds it out anew for each execution, and how it does is
 * what costs most in all of its JavaScript: it makes an empty row property by property, in an object of a kind that V8
 * knows no short ways for. What the server describes is compared each time, and the types' parsers are looked up each time,
 * since both may change.
 */
export function rememberShapes(client: Client): void {
  const internals = internalsOf(client)
  const { _handleRowDescription: handle } = internals
  internals._handleRowDescription = (message) => {
    const query = internals._getActiveQuery()
    if (!isPlain(query)) return handle.call(internals, message)
    const { fields } = message
    const shape = SHAPES.of(query.text)
    if (shape && isOf(shape, fields)) return describeAs(shape, query, fields)
    handle.call(internals, message)
    const { _prebuiltEmptyResultObject: empty } = query._result
    if (empty) SHAPES.learn(query.text, { names: fields.map(({ name }) => name), empty })
  }
}

const SHAPES = new KnownTexts<RowShape>()
const HANDLE = (Query.prototype as unknown as DescribedQuery).handleRowDescription

/** The driver's own statement, in its first result; not a cursor, or one that describes its rows in another way. */
function isPlain(query: object | null | undefined): query is DescribedQuery {
  if (!IS_DRIVER_KNOWN || !query) return false
  const { text, handleRowDescription, _result: result } = query as DescribedQuery
  return handleRowDescription === HANDLE && typeof text === 'string' && result.command === null
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

/** Whether the driver does just that: another version may do more, and is left to it. */
const IS_DRIVER_KNOWN = ((): boolean => {
  const callback = (): void => {}
  const fieldsOf = (): FieldDescription[] => [{ name: 'a', dataTypeID: types.builtins.INT4, format: 'text' }]
  const [its, ours] = [0, 1].map(() => {
    const query = new Query<never, never>({ text: '', types, callback } as never)
    return query as unknown as DescribedQuery
  })
  its?.handleRowDescription?.({ fields: fieldsOf() })
  if (!its?._result?._prebuiltEmptyResultObject || !ours?._result) return false
  describeAs({ names: ['a'], empty: { a: null } }, ours, fieldsOf())
  return isDeepStrictEqual(its, ours)
})()
