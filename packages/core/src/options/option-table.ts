import {
  type Check,
  checkHook,
  checkLogger,
  checkResetPolicy,
  isMore,
  isReadable,
  type Problems,
  withoutUndefined,
} from './check.ts'
import { checkGroupKeys } from './check-keys.ts'
import type { Logger, OwnOptions, PrePingOptions, RetryOptions } from './pool-options.ts'

type Complete<Options> = { readonly [Key in keyof Options]-?: NonNullable<Options[Key]> }

/** When a connection is pinged before it is leased. */
export type PrePing = Complete<PrePingOptions>

/** How something is retried: the options of p-retry. */
export type Retry = Complete<RetryOptions>

/** What the pool logs: nothing, every change, or every lease as well. */
export type EchoLevel = false | 'info' | 'debug'

/** The checked and completed value of each option. "Never" and "no limit" are `Infinity`. */
export interface OptionValues
  extends Omit<Complete<OwnOptions>, 'prePing' | 'connectRetry' | 'echo' | 'logger' | 'onConnect'> {
  readonly prePing: PrePing | false
  readonly connectRetry: Retry | false
  readonly echo: EchoLevel
  readonly logger: Logger | undefined
  readonly onConnect: OwnOptions['onConnect']
}

/** Options that have no default of their own: another option or the environment decides, or there is none. */
type WithoutDefault = 'maxIdle' | 'echo' | 'logger' | 'onConnect'

/** The default of an option, in the unit of the option. */
type Default<Name extends keyof OwnOptions> = Name extends WithoutDefault
  ? undefined
  : Name extends 'prePing' | 'connectRetry'
    ? Exclude<OptionValues[Name], false>
    : NonNullable<OwnOptions[Name]>

/** What the pool knows about an option. Its type and its meaning are in `OwnOptions`. */
interface Option<Name extends keyof OwnOptions> {
  readonly default: Default<Name>
  /** Why the default has this value. */
  readonly reason?: string
  /** Checks what the user gave, `undefined` if nothing, and completes it. */
  readonly read: Read<OptionValues[Name]>
}

type Read<Value> = (given: unknown, reading: Reading) => Value

/** What is needed to read one option. */
export interface Reading {
  /** The name of the option. */
  readonly option: string
  readonly default: unknown
  /** All options of the pool as given, with the defaults of those that are absent. Nothing in it is checked. */
  readonly all: Readonly<Record<string, unknown>>
  readonly problems: Problems
}

/**
 * Every option of the pool: its default, why, and what it may be. To add an option, write its type and its docstring in
 * `OwnOptions`, and its entry here. `npm run reference` writes both into docs/reference.md.
 */
export const OPTIONS: { readonly [Name in keyof OwnOptions]-?: Option<Name> } = {
  max: { default: 10, read: checked(wholeNumber(1)) },
  min: { default: 0, read: checked(wholeNumber(0), atMostMax) },
  connectionTimeoutMillis: {
    default: 30_000,
    reason: 'Longer than a restart, or a failover of most managed servers. pg has no limit, so its callers can hang.',
    read: orNever(checked(number(0, 'or Infinity'))),
  },
  idleTimeoutMillis: { default: 10_000, read: orNever(checked(number(0, 'or Infinity'))) },
  maxIdle: { default: undefined, read: readMaxIdle },
  maxWaiting: { default: Number.POSITIVE_INFINITY, read: checked(wholeNumber(0, 'or Infinity')) },
  lifo: {
    default: true,
    reason: 'Connections that are not needed become idle for long, and are closed.',
    read: checked(oneOf(true, false)),
  },
  keepaliveMillis: { default: 0, read: orNever(checked(number(0))) },
  leakDetectionMillis: {
    default: 0,
    reason: 'Every lease would pay for a stack trace.',
    read: orNever(checked(number(0))),
  },
  clientConnectionCheckMillis: {
    default: 0,
    reason: 'A connection pooler in between may refuse a setting that it does not know.',
    read: checked(wholeNumber(0)),
  },
  maxLifetimeSeconds: { default: 0, read: orNever(checked(number(0, 'or Infinity'))) },
  maxLifetimeJitter: {
    default: 0.1,
    reason: 'Connections that were opened together should not all be replaced together.',
    read: checked(number(0), share),
  },
  maxUses: { default: Number.POSITIVE_INFINITY, read: orNever(checked(wholeNumber(0, 'or Infinity'))) },
  allowExitOnIdle: { default: false, read: checked(oneOf(true, false)) },
  clientPerLease: {
    default: true,
    reason: "Few programs need the same object again, and a late statement in another caller's transaction is worse.",
    read: checked(oneOf(true, false)),
  },
  onConnect: { default: undefined, read: checked(checkHook) },
  prePing: {
    default: Object.freeze({ idleMillis: 500, timeoutMillis: 1000 }),
    reason:
      'Under load a connection is used more often than every 500 ms, and the ping costs nothing. One second is many round trips, even to another data centre.',
    read: readPrePing,
  },
  invalidateOnDisconnect: {
    default: 'all',
    reason: 'What ends one connection, a restart or a failover, has usually ended the others too.',
    read: checked(oneOf('all', 'one')),
  },
  resetOnReturn: {
    default: 'rollback',
    reason: 'It costs no round trip when the session is clean.',
    read: checked(checkResetPolicy),
  },
  connectRetry: {
    default: Object.freeze({
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 50,
      maxTimeout: 1000,
      factor: 2,
      randomize: true,
    }),
    reason:
      'One attempt per process and second is no load for a server, and a restart takes about a second. The pauses vary, since many processes lose the same server at the same time.',
    read: (given, { option, problems }) =>
      resolveRetry(option, given === undefined ? true : given, OPTIONS.connectRetry.default, problems),
  },
  closeTimeoutMillis: { default: 5000, read: checked(number(0)) },
  keepAlive: {
    default: true,
    reason: 'Without it (the default of pg) a connection that a firewall has dropped is never noticed.',
    read: checked(),
  },
  lostCommit: { default: 'resolve', read: checked(oneOf('resolve', 'report')) },
  commitTimeoutMillis: {
    default: 30_000,
    reason: 'A COMMIT that runs many deferred triggers may take long.',
    read: orNever(checked(number(0))),
  },
  name: { default: 'holdfast', read: checked(nonEmptyName) },
  echo: {
    default: undefined,
    read: (given, { problems }) => resolveEcho(given, process.env.HOLDFAST_ECHO, problems),
  },
  logger: { default: undefined, read: checked(checkLogger) },
}

/** How transactions are retried, unless `retry` says otherwise. */
export const TRANSACTION_RETRY: Retry = Object.freeze({
  // A transaction that fails four times has a conflict that more retries will not solve.
  retries: 3,
  minTimeout: 50,
  maxTimeout: 1000,
  factor: 2,
  // Two transactions that conflicted must not run at the same time again.
  randomize: true,
})

/** The value as it was given, once it has passed the checks; else the default. */
function checked<Value>(...checks: readonly Check[]): Read<Value> {
  return (given, { option, default: absent, all, problems }) => {
    if (given === undefined) return absent as Value
    for (const check of checks) check(option, given, problems, all)
    return given as Value
  }
}

/** 0 means never, as in pg. */
function orNever(read: Read<number>): Read<number> {
  return (given, reading) => read(given, reading) || Number.POSITIVE_INFINITY
}

function number(least: number, infinite?: 'or Infinity'): Check {
  return (option, value, problems) => problems.number(option, value, least, infinite)
}

function wholeNumber(least: number, infinite?: 'or Infinity'): Check {
  return (option, value, problems) => problems.wholeNumber(option, value, least, infinite)
}

function oneOf(...allowed: readonly unknown[]): Check {
  return (option, value, problems) => problems.oneOf(option, value, allowed)
}

function share(option: string, value: unknown, problems: Problems): void {
  if (isMore(value, 1)) problems.add(option, 'a share from 0 to 1', value)
}

function nonEmptyName(option: string, value: unknown, problems: Problems): void {
  if (typeof value !== 'string' || value === '') problems.add(option, 'a name', value)
}

function atMostMax(option: string, value: unknown, problems: Problems, { max }: Reading['all']): void {
  // A `max` that is wrong itself is reported once.
  if (typeof max === 'number' && max >= 1 && isMore(value, max)) problems.add(option, `at most \`max\` (${max})`, value)
}

function atLeastMin(option: string, value: unknown, problems: Problems, { min }: Reading['all']): void {
  if (typeof value === 'number' && value >= 0 && isMore(min, value))
    problems.add(option, `at least \`min\` (${min})`, value)
}

function readMaxIdle(given: unknown, reading: Reading): number {
  const read = checked<number>(wholeNumber(0), atMostMax, atLeastMin)
  return given === undefined ? (reading.all.max as number) : read(given, reading)
}

/** A ping timeout that the user didn't give adapts to a short deadline; one that the user gave must be shorter than it. */
function readPrePing(given: unknown, { option, all, problems }: Reading): PrePing | false {
  if (given === false) return false
  if (given !== undefined && given !== true && !isReadable(given)) {
    problems.add(option, 'true, false, or { idleMillis, timeoutMillis }', given)
    return false
  }
  const defaults = OPTIONS.prePing.default
  const chosen: PrePingOptions = typeof given === 'object' ? withoutUndefined(given) : {}
  checkGroupKeys(option, chosen, Object.keys(defaults), problems)
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

/** No limit for what is reported as wrong elsewhere. */
function deadlineOf(connectionTimeoutMillis: unknown): number {
  return isMore(connectionTimeoutMillis, 0) ? (connectionTimeoutMillis as number) : Number.POSITIVE_INFINITY
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
