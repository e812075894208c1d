/**
 * Reads values that were thrown, or given as a reason. JavaScript can throw anything: a text, nothing, a revoked Proxy, an
 * object whose getters throw, an error that is its own cause. Nothing here ever throws.
 */

const UNPRINTABLE = 'something that cannot be put into words'
/** How deep errors inside of errors are read: some contain themselves. */
const DEEPEST = 8

/** A property of any value; undefined if it has none, or if it can't be read. */
export function propertyOf(value: unknown, key: PropertyKey): unknown {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return undefined
  try {
    return (value as Record<PropertyKey, unknown>)[key]
  } catch {
    return undefined
  }
}

/** Whether a value is of this class. False for a Proxy that throws. */
export function isInstance<Instance>(
  value: unknown,
  of: abstract new (...args: never[]) => Instance,
): value is Instance {
  try {
    return value instanceof of
  } catch {
    return false
  }
}

/** Whether a value is an error. */
export function isError(value: unknown): value is Error {
  return isInstance(value, Error)
}

/** The thrown value if it is an error; else an error whose `cause` it is. */
export function toError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(textOf(thrown), { cause: thrown })
}

/** Any value as a text. */
export function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return UNPRINTABLE
  }
}

/** Reads the `code` of anything thrown: a SQLSTATE, an errno, or undefined. */
export function codeOf(error: unknown): string | undefined {
  const code = propertyOf(error, 'code')
  return typeof code === 'string' ? code : undefined
}

/** The name of an error; undefined if it has none. */
export function nameOf(error: unknown): string | undefined {
  const name = propertyOf(error, 'name')
  return typeof name === 'string' ? name : undefined
}

/** The message of anything thrown. Node reports several failed addresses as an AggregateError without a message. */
export function messageOf(error: unknown): string {
  return messageWithin(error, DEEPEST)
}

function messageWithin(error: unknown, depth: number): string {
  if (!isError(error)) return textOf(error)
  const message = propertyOf(error, 'message')
  if (message !== '' || depth === 0) return typeof message === 'string' ? message : textOf(message)
  return errorsIn(error)
    .map((each) => messageWithin(each, depth - 1))
    .join(', ')
}

/** The errors of an AggregateError; none if it isn't one. */
export function errorsIn(error: unknown): readonly unknown[] {
  if (!isInstance(error, AggregateError)) return []
  const errors = propertyOf(error, 'errors')
  try {
    return Array.isArray(errors) ? [...errors] : []
  } catch {
    return []
  }
}

/** The stack of anything thrown, or else its message. */
export function stackOf(error: unknown): string {
  const stack = isError(error) ? propertyOf(error, 'stack') : undefined
  return typeof stack === 'string' ? stack : messageOf(error)
}
