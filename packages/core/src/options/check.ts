import { OptionsError } from '../errors.ts'

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

function orInfinity(infinite: Infinite): string {
  return infinite === 'finite' ? '' : ', or Infinity'
}

/** What was given, without what may be secret: the values of an object, a connection string in the wrong place. */
function show(value: unknown): string {
  if (typeof value === 'string') return /:\/\/|=/.test(value) ? 'a connection string' : `'${value}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  const keys = Object.keys(value)
  return Array.isArray(value) || keys.length === 0 ? 'an object without names' : `an object with ${keys.join(', ')}`
}

type Present<Given> = { [Key in keyof Given]: Exclude<Given[Key], undefined> }

/** A key that is present with the value `undefined` is absent: TypeORM passes many of those. */
export function withoutUndefined<Given extends object>(given: Given): Present<Given> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<Given>
}
