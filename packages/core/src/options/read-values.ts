import { type Check, checkGroupKeys, isMore, isReadable, type Problems, withoutUndefined } from './check.ts'
import type {
  BudgetOptions,
  PrePingOptions,
  PrepareOptions,
  RetryOptions,
  SheddingOptions,
  WatchOptions,
} from './pool-options.ts'

/** All options, without those that are absent. */
export type Complete<Options> = { readonly [Key in keyof Options]-?: NonNullable<Options[Key]> }

/** When a connection is pinged before it is leased. */
export type PrePing = Complete<PrePingOptions>

/** When a silent statement is looked at. */
export type Watch = Complete<WatchOptions>

/** What pools share. */
export type BudgetValues = Complete<BudgetOptions>

/** When callers are refused that have waited for too long. */
export type Shedding = Complete<SheddingOptions>

/** Which statements the pool prepares by itself. `needsProof`: only where no pooler can be in between. */
export type Prepare = Complete<PrepareOptions> & { readonly needsProof: boolean }

/** How something is retried: the options of p-retry. */
export type Retry = Complete<RetryOptions>

/** What the pool logs: nothing, every change, or every lease as well. */
export type EchoLevel = false | 'info' | 'debug'

/** Checks what the user gave, `undefined` if nothing, and completes it. */
export type Read<Value> = (given: unknown, reading: Reading) => Value

/** What is needed to read one option. */
export interface Reading {
  /** The name of the option. */
  readonly option: string
  readonly default: unknown
  /** All options of the pool as given, with the defaults of those that are absent. Nothing in it is checked. */
  readonly all: Readonly<Record<string, unknown>>
  readonly problems: Problems
}

/** The value as it was given, once it has passed the checks; else the default. */
export function checked<Value>(...checks: readonly Check[]): Read<Value> {
  return (given, { option, default: absent, all, problems }) => {
    if (given === undefined) return absent as Value
    for (const check of checks) check(option, given, problems, all)
    return given as Value
  }
}

/** 0 means never, as in pg. */
export function orNever(read: Read<number>): Read<number> {
  return (given, reading) => read(given, reading) || Number.POSITIVE_INFINITY
}

export function number(least: number, infinite?: 'or Infinity'): Check {
  return (option, value, problems) => problems.number(option, value, least, infinite)
}

export function wholeNumber(least: number, infinite?: 'or Infinity'): Check {
  return (option, value, problems) => problems.wholeNumber(option, value, least, infinite)
}

export function oneOf(...allowed: readonly unknown[]): Check {
  return (option, value, problems) => problems.oneOf(option, value, allowed)
}

export function share(option: string, value: unknown, problems: Problems): void {
  if (isMore(value, 1)) problems.add(option, 'a share from 0 to 1', value)
}

export function nonEmptyName(option: string, value: unknown, problems: Problems): void {
  if (typeof value !== 'string' || value === '') problems.add(option, 'a name', value)
}

export function atMostMax(option: string, value: unknown, problems: Problems, { max }: Reading['all']): void {
  // A `max` that is wrong itself is reported once.
  if (typeof max === 'number' && max >= 1 && isMore(value, max)) problems.add(option, `at most \`max\` (${max})`, value)
}

function atLeastMin(option: string, value: unknown, problems: Problems, { min }: Reading['all']): void {
  if (typeof value === 'number' && value >= 0 && isMore(min, value))
    problems.add(option, `at least \`min\` (${min})`, value)
}

/** As many idle connections as `max`, unless `maxIdle` is given. */
export function readMaxIdle(given: unknown, reading: Reading): number {
  const read = checked<number>(wholeNumber(0), atMostMax, atLeastMin)
  return given === undefined ? (reading.all.max as number) : read(given, reading)
}

/** What was given of a group of options that can be turned on and off; undefined if it can't be read. */
function readGroup<Options extends object>(
  given: unknown,
  defaults: Complete<Options>,
  { option, problems }: Reading,
): Options | undefined {
  const names = Object.keys(defaults)
  if (given !== undefined && given !== true && !isReadable(given)) {
    problems.add(option, `true, false, or { ${names.join(', ')} }`, given)
    return undefined
  }
  const chosen = typeof given === 'object' ? withoutUndefined(given as Options) : ({} as Options)
  checkGroupKeys(option, chosen, names, problems)
  return chosen
}

/** A ping timeout that the user didn't give adapts to a short deadline; one that the user gave must be shorter than it. */
export function readPrePing(given: unknown, reading: Reading): PrePing | false {
  const { option, default: absent, all, problems } = reading
  const defaults = absent as PrePing
  const chosen = given !== false && readGroup<PrePingOptions>(given, defaults, reading)
  if (!chosen) return false
  const deadline = deadlineOf(all.connectionTimeoutMillis)
  const timeoutMillis = Math.min(defaults.timeoutMillis, deadline / 2)
  const prePing = { ...defaults, timeoutMillis, ...chosen } as PrePing
  problems.number(`${option}.idleMillis`, prePing.idleMillis, 0)
  if (chosen.timeoutMillis !== undefined) problems.number(`${option}.timeoutMillis`, chosen.timeoutMillis, 1)
  if (typeof prePing.timeoutMillis === 'number' && prePing.timeoutMillis >= deadline)
    problems.add(
      `${option}.timeoutMillis`,
      `shorter than \`connectionTimeoutMillis\` (${deadline})`,
      chosen.timeoutMillis,
    )
  return Object.freeze(prePing)
}

/** `true` and nothing mean the default. */
export function readWatch(given: unknown, reading: Reading): Watch | false {
  const { option, default: absent, problems } = reading
  const defaults = absent as Watch
  const chosen = given !== false && readGroup<WatchOptions>(given, defaults, reading)
  if (!chosen) return false
  const watch = { ...defaults, ...chosen } as Watch
  problems.number(`${option}.silentMillis`, watch.silentMillis, 1)
  problems.number(`${option}.timeoutMillis`, watch.timeoutMillis, 1)
  return Object.freeze(watch)
}

const DEFAULT_RESERVE = 1
/** A pool needs one for the session in which it asks, and one for a connection. */
const LEAST_SHARE = 2

/** Nothing means no budget. */
export function readBudget(given: unknown, { option, problems }: Reading): BudgetValues | undefined {
  if (given === undefined) return undefined
  if (!isReadable(given)) {
    problems.add(option, 'an object, such as { total: 50, name: "shop" }', given)
    return undefined
  }
  checkGroupKeys(option, given, ['total', 'name', 'reserve'], problems)
  const budget = { reserve: DEFAULT_RESERVE, ...withoutUndefined(given) } as BudgetValues
  problems.wholeNumber(`${option}.reserve`, budget.reserve, 0)
  const least = typeof budget.reserve === 'number' && budget.reserve > 0 ? budget.reserve + LEAST_SHARE : LEAST_SHARE
  problems.wholeNumber(`${option}.total`, budget.total, least)
  nonEmptyName(`${option}.name`, budget.name, problems)
  return Object.freeze(budget)
}

const SHEDDING: Shedding = { targetMillis: 50, intervalMillis: 1000 }

/** `true` means the values of an object without any. */
export function readShedding(given: unknown, reading: Reading): Shedding | false {
  const { option, problems } = reading
  const chosen = given !== undefined && given !== false && readGroup<SheddingOptions>(given, SHEDDING, reading)
  if (!chosen) return false
  const shedding = { ...SHEDDING, ...chosen } as Shedding
  problems.number(`${option}.targetMillis`, shedding.targetMillis, 1)
  problems.number(`${option}.intervalMillis`, shedding.intervalMillis, 1)
  if (isMore(shedding.targetMillis, shedding.intervalMillis))
    problems.add(
      `${option}.targetMillis`,
      `at most \`intervalMillis\` (${shedding.intervalMillis})`,
      shedding.targetMillis,
    )
  return Object.freeze(shedding)
}

const PREPARE: Complete<PrepareOptions> = { threshold: 5, max: 100 }

/** `'auto'` and an object need proof that no pooler is in between; `true` needs none. */
export function readPrepare(given: unknown, { option, default: absent, problems }: Reading): Prepare | false {
  const chosen = given === undefined ? absent : given
  if (chosen === false) return false
  if (chosen === 'auto' || chosen === true) return Object.freeze({ ...PREPARE, needsProof: chosen !== true })
  if (!isReadable(chosen)) {
    problems.add(option, "'auto', true, false, or { threshold, max }", given)
    return false
  }
  checkGroupKeys(option, chosen, Object.keys(PREPARE), problems)
  const prepare = { ...PREPARE, ...withoutUndefined(chosen) } as Complete<PrepareOptions>
  problems.wholeNumber(`${option}.threshold`, prepare.threshold, 1)
  problems.wholeNumber(`${option}.max`, prepare.max, 1)
  return Object.freeze({ ...prepare, needsProof: true })
}

/** No limit for what is reported as wrong elsewhere. */
function deadlineOf(connectionTimeoutMillis: unknown): number {
  return isMore(connectionTimeoutMillis, 0) ? (connectionTimeoutMillis as number) : Number.POSITIVE_INFINITY
}

/** The options of p-retry; `true` and nothing mean the default. */
export function readRetry(given: unknown, { option, default: absent, problems }: Reading): Retry | false {
  return resolveRetry(option, given === undefined ? true : given, absent as Retry, problems)
}

/** Checks and completes options of p-retry, so that p-retry never refuses them. `false` means no retry. */
export function resolveRetry(option: string, given: unknown, defaults: Retry, problems: Problems): Retry | false {
  if (given === false) return false
  if (given === true) return defaults
  if (!isReadable(given)) {
    problems.add(option, "true, false, or p-retry's options", given)
    return false
  }
  checkGroupKeys(option, given, Object.keys(defaults), problems)
  const retry = { ...defaults, ...withoutUndefined(given) } as Retry
  problems.wholeNumber(`${option}.retries`, retry.retries, 0, 'or Infinity')
  problems.number(`${option}.minTimeout`, retry.minTimeout, 0)
  problems.number(`${option}.maxTimeout`, retry.maxTimeout, 0, 'or Infinity')
  problems.number(`${option}.factor`, retry.factor, 1)
  problems.oneOf(`${option}.randomize`, retry.randomize, [true, false])
  return Object.freeze(retry)
}

/** `echo`, or else what the environment says. */
export function readEcho(given: unknown, { problems }: Reading): EchoLevel {
  return resolveEcho(given, process.env.HOLDFAST_ECHO, problems)
}

const ECHO_IN_ENVIRONMENT: ReadonlyMap<string, EchoLevel> = new Map<string, EchoLevel>([
  ['1', 'info'],
  ['true', 'info'],
  ['info', 'info'],
  ['debug', 'debug'],
  ['0', false],
  ['false', false],
  ['', false],
])

/** The option wins over the environment variable `HOLDFAST_ECHO`, which is for looking into a program without changing it. */
export function resolveEcho(given: unknown, environment: string | undefined, problems: Problems): EchoLevel {
  if (given !== undefined) {
    problems.oneOf('echo', given, [true, false, 'debug'])
    return given === true ? 'info' : (given as EchoLevel)
  }
  const level = ECHO_IN_ENVIRONMENT.get(environment?.trim().toLowerCase() ?? '')
  if (level === undefined) problems.add('HOLDFAST_ECHO', '1, true, info, debug, 0 or false', environment)
  return level ?? false
}
