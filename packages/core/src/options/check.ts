import { OptionsError } from '../errors.ts'
import { isInstance, messageOf, propertyOf, textOf } from '../thrown.ts'
import type { ResetPolicy } from './pool-options.ts'

type Infinite = 'finite' | 'or Infinity'

/** Checks one value, and adds what is wrong to `problems`; `all` are the other options of the pool. */
export type Check = (option: string, value: unknown, problems: Problems, all: Readonly<Record<string, unknown>>) => void

/** Collects what is wrong with the options, so that one error reports every problem. */
export class Problems {
  readonly found: string[] = []

  /** Adds that an option has a value that it must not have. */
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
   * An object of options.
   *
   * @throws {OptionsError} at once, since there is nothing in it to check.
   */
  group(option: string, value: unknown, example: string): void {
    if (typeof value === 'object' && value !== null) return
    this.add(`${option} options`, `an object, such as ${example}`, value)
    throw new OptionsError(this.found)
  }

  /** One of these values. */
  oneOf(option: string, value: unknown, allowed: readonly unknown[]): void {
    if (!allowed.includes(value)) this.add(option, `one of ${allowed.map(show).join(', ')}`, value)
  }
}

/**
 * Runs code that reads options, which may have getters that throw or be a revoked Proxy. `of` is what they were given to.
 *
 * @throws {OptionsError} and nothing else.
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

/** Whether this is an array that can be read. */
export function isList(value: unknown): value is readonly unknown[] {
  return isReadable(value) && Array.isArray(value)
}

/** Whether both are numbers and the first is larger. Other values can throw when they are compared. */
export function isMore(one: unknown, other: unknown): boolean {
  return typeof one === 'number' && typeof other === 'number' && one > other
}

const RESET_POLICIES: readonly ResetPolicy[] = ['rollback', 'commit', 'session', 'discard', 'none']
const LOGGER_METHODS = ['debug', 'info', 'warn', 'error'] as const

/** One of the names of a reset policy, or a function. */
export function checkResetPolicy(option: string, policy: unknown, problems: Problems): void {
  if (typeof policy === 'function' || RESET_POLICIES.includes(policy as ResetPolicy)) return
  problems.add(option, `one of ${RESET_POLICIES.map((name) => `'${name}'`).join(', ')}, or a function`, policy)
}

/** An object with the methods of a `Logger`. */
export function checkLogger(option: string, logger: unknown, problems: Problems): void {
  const has = (method: string): boolean => typeof propertyOf(logger, method) === 'function'
  if (!LOGGER_METHODS.every(has)) problems.add(option, `an object with ${LOGGER_METHODS.join(', ')}`, logger)
}

/** A function of the user's, or nothing. */
export function checkHook(option: string, hook: unknown, problems: Problems): void {
  if (hook !== undefined && typeof hook !== 'function') problems.add(option, 'a function', hook)
}

function orInfinity(infinite: Infinite): string {
  return infinite === 'finite' ? '' : ', or Infinity'
}

/** What was given, without what may be secret: the values of an object, or a connection string in the wrong place. */
function show(value: unknown): string {
  if (typeof value === 'string') return /:\/\/|=/.test(value) ? 'a connection string' : `'${value}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return textOf(value)
  let keys: string[]
  try {
    keys = Object.keys(value)
  } catch {
    return "an object that can't be read"
  }
  return Array.isArray(value) || keys.length === 0 ? 'an object without names' : `an object with ${keys.join(', ')}`
}

type Present<Given> = { [Key in keyof Given]: Exclude<Given[Key], undefined> }

/** A key with the value `undefined` counts as absent. TypeORM passes many of those. */
export function withoutUndefined<Given extends object>(given: Given): Present<Given> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<Given>
}

// The names that other pools have for our options.
const SYNONYMS = new Map([
  ['pool_pre_ping', 'prePing'],
  ['pool_recycle', 'maxLifetimeSeconds'],
  ['pool_size', 'max'],
  ['max_overflow', 'max'],
  ['pool_timeout', 'connectionTimeoutMillis'],
  ['pool_reset_on_return', 'resetOnReturn'],
  ['pool_use_lifo', 'lifo'],
  ['pool_logging_name', 'name'],
  ['echo_pool', 'echo'],
  ['leakDetectionThreshold', 'leakDetectionMillis'],
  ['keepaliveTime', 'keepaliveMillis'],
  ['maxWaitingClients', 'maxWaiting'],
  ['queueMax', 'maxWaiting'],
  ['acquireTimeout', 'connectionTimeoutMillis'],
  ['acquireTimeoutMillis', 'connectionTimeoutMillis'],
  ['connectTimeout', 'connectionTimeoutMillis'],
  ['connectionTimeout', 'connectionTimeoutMillis'],
  ['idleTimeout', 'idleTimeoutMillis'],
  ['idleTimeoutMs', 'idleTimeoutMillis'],
  ['maxLifetime', 'maxLifetimeSeconds'],
  ['maxLifetimeMillis', 'maxLifetimeSeconds'],
  ['connectionLimit', 'max'],
  ['maxConnections', 'max'],
  ['targetServerType', 'targetSessionAttrs'],
  ['hostRecheckSeconds', 'hostRecheckMillis'],
  ['max_connections', 'max'],
  ['maxPoolSize', 'max'],
  ['maximum', 'max'],
  ['maximumPoolSize', 'max'],
  ['minimum', 'min'],
  ['minimumIdle', 'min'],
])

// One wrong letter in a short word, two in a long one.
const LETTERS_PER_SLIP = 4
const MOST_SLIPS = 2

/** Refuses every key of an object of options that isn't one of those allowed. */
export function checkGroupKeys(group: string, given: object, allowed: readonly string[], problems: Problems): void {
  for (const key of Object.keys(given)) {
    if (allowed.includes(key)) continue
    const meant = didYouMean(key, allowed)
    const hint = meant ? `did you mean \`${meant}\`?` : `allowed are ${allowed.join(', ')}.`
    problems.found.push(`\`${group}.${key}\` is not an option, ${hint}`)
  }
}

/** The option that a misspelt key, or the key of another pool, was probably meant to be. */
export function didYouMean(key: string, options: readonly string[]): string | undefined {
  const synonym = SYNONYMS.get(key)
  if (synonym) return options.includes(synonym) ? synonym : undefined
  const slips = Math.min(MOST_SLIPS, Math.floor(key.length / LETTERS_PER_SLIP))
  return options.find((option) => isWithin(slips, key.toLowerCase(), option.toLowerCase()))
}

/** Whether at most so many letters must be dropped, inserted or replaced to make one word the other. */
function isWithin(slips: number, one: string, other: string): boolean {
  if (slips < 0) return false
  let same = 0
  while (same < one.length && one[same] === other[same]) same++
  const [rest, otherRest] = [one.slice(same), other.slice(same)]
  if (rest === '' || otherRest === '') return rest.length + otherRest.length <= slips
  return (
    isWithin(slips - 1, rest.slice(1), otherRest) ||
    isWithin(slips - 1, rest, otherRest.slice(1)) ||
    isWithin(slips - 1, rest.slice(1), otherRest.slice(1))
  )
}
