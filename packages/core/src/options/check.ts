import { OptionsError } from '../errors.ts'
import { isInstance, messageOf, textOf } from '../thrown.ts'

type Infinite = 'finite' | 'or Infinity'

/** Collects what is wrong with the options, so that all problems are told at once. */
export class Problems {
  readonly found: string[] = []

  /** Notes that an option is not what it may be. */
  add(option: string, allowed: string, given: unknown): void {
    this.found.push(`\`${option}\` must be ${allowed}, got ${show(given)}.`)
  }

  /** A whole number of at least `least`; `Infinity` where it makes sense. */
  wholeNumber(option: string, value: unknown, least: number, infinite: Infinite = 'finite'): void {
    const isInfinite = value === Number.POSITIVE_INFINITY && infinite === 'or Infinity'
    const fits = isInfinite || (Number.isInteger(value) && (value as number) >= least)
    if (!fits) this.add(option, `a whole number from ${least} on${orInfinity(infinite)}`, value)
  }

  /** A number of at least `least`; `Infinity` where it makes sense. */
  number(option: string, value: unknown, least: number, infinite: Infinite = 'finite'): void {
    const fits = typeof value === 'number' && value >= least && (infinite === 'or Infinity' || Number.isFinite(value))
    if (!fits) this.add(option, `a number from ${least} on${orInfinity(infinite)}`, value)
  }

  /**
   * A group of options, such as this one.
   *
   * @throws {OptionsError} at once: there is nothing in it to look at.
   */
  group(option: string, value: unknown, example: string): void {
    if (typeof value === 'object' && value !== null) return
    this.add(`${option} options`, `an object, such as ${example}`, value)
    throw new OptionsError(this.found)
  }

  /** One of a closed set. */
  oneOf(option: string, value: unknown, allowed: readonly unknown[]): void {
    if (!allowed.includes(value)) this.add(option, `one of ${allowed.map(show).join(', ')}`, value)
  }
}

/**
 * Reads options, whose getters may throw, and whose Proxies may be revoked; `of` is what they were given to.
 *
 * @throws {OptionsError} whatever happens.
 */
export function readOptions<Result>(of: string, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (isInstance(error, OptionsError)) throw error
    throw new OptionsError([`\`${of}\` options can't be read: ${messageOf(error)}.`])
  }
}

/** Whether this is an object whose properties can be read. */
export function isReadable(value: unknown): value is object {
  try {
    return typeof value === 'object' && value !== null && Object.entries(value).length >= 0
  } catch {
    return false
  }
}

/** Whether these are numbers, of which the first is more; nothing else can be compared without harm. */
export function isMore(one: unknown, other: unknown): boolean {
  return typeof one === 'number' && typeof other === 'number' && one > other
}

function orInfinity(infinite: Infinite): string {
  return infinite === 'finite' ? '' : ', or Infinity'
}

/** What was given, without what may be secret: the values of an object, a connection string in the wrong place. */
function show(value: unknown): string {
  if (typeof value === 'string') return /:\/\/|=/.test(value) ? 'a connection string' : `'${value}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return textOf(value)
  let keys: string[]
  try {
    keys = Object.keys(value)
  } catch {
    return 'an object that says nothing of itself'
  }
  return Array.isArray(value) || keys.length === 0 ? 'an object without names' : `an object with ${keys.join(', ')}`
}

type Present<Given> = { [Key in keyof Given]: Exclude<Given[Key], undefined> }

/** A key that is present with the value `undefined` is absent: TypeORM passes many of those. */
export function withoutUndefined<Given extends object>(given: Given): Present<Given> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<Given>
}
