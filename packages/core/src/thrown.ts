/**
 * What can be learnt of anything that was thrown, or given as a reason. JavaScript lets everything be thrown: a text,
 * nothing, a Proxy that was revoked, an object whose getters throw, an error that is its own cause. Nothing here ever throws.
 */

const SPEECHLESS = 'something that cannot be put into words'
/** Errors within errors: more are not worth telling, and some contain themselves. */
const DEEPEST = 8

/** A property of whatever it is; undefined if there is none, or it can't be read. */
export function propertyOf(value: unknown, key: PropertyKey): unknown {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return undefined
  try {
    return (value as Record<PropertyKey, unknown>)[key]
  } catch {
    return undefined
  }
}

/** Whether it is of this class. A Proxy may refuse to say, and isn't, then. */
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

/** Whether it is an error, and can be told as it is. */
export function isError(value: unknown): value is Error {
  return isInstance(value, Error)
}

/** An error to tell in the place of whatever was thrown: itself, if it is one, else one whose `cause` it is. */
export function toError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(textOf(thrown), { cause: thrown })
}

/** Anything as a text. */
export function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return SPEECHLESS
  }
}

/** Reads the `code` of anything thrown: a SQLSTATE, an errno, or undefined. */
export function codeOf(error: unknown): string | undefined {
  const code = propertyOf(error, 'code')
  return typeof code === 'string' ? code : undefined
}

/** The name of an error; undefined for what has none. */
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

/** The errors of an AggregateError; none, if it isn't one. */
export function errorsIn(error: unknown): readonly unknown[] {
  if (!isInstance(error, AggregateError)) return []
  const errors = propertyOf(error, 'errors')
  try {
    return Array.isArray(errors) ? [...errors] : []
  } catch {
    return []
  }
}

/** The stack of anything thrown, or what there is to say of it. */
export function stackOf(error: unknown): string {
  const stack = isError(error) ? propertyOf(error, 'stack') : undefined
  return typeof stack === 'string' ? stack : messageOf(error)
}
