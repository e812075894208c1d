import { OptionsError } from '../errors.ts'
import { isMore, Problems, readOptions, withoutUndefined } from './check.ts'
import { checkPoolKeys } from './check-keys.ts'
import { addressHint, checkAddress, checkHook, checkLogger, checkResetPolicy, checkSsl } from './check-values.ts'
import { DEFAULTS } from './defaults.ts'
import { resolveEcho } from './echo.ts'
import { asPgReads } from './pg-values.ts'
import type { PoolOptions } from './pool-options.ts'
import { resolvePrePing, resolveRetry } from './resolve-groups.ts'
import type { ResolvedOptions } from './resolved-options.ts'

/**
 * Checks and completes what the user gave.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveOptions(given: PoolOptions): ResolvedOptions {
  return readOptions('Pool', () => resolve(given))
}

function resolve(given: PoolOptions): ResolvedOptions {
  const problems = new Problems()
  if (typeof given !== 'object' || given === null) {
    problems.add('options', 'an object, such as { connectionString }', given)
    throw new OptionsError(problems.found)
  }
  checkPoolKeys(given, problems)
  const value = { ...DEFAULTS, ...asPgReads(withoutUndefined(given)) }
  const deadline = orNever(value.connectionTimeoutMillis)
  const prePing = resolvePrePing(given.prePing === undefined ? true : given.prePing, atLeast(deadline, 0), problems)
  const connectRetry = resolveRetry('connectRetry', value.connectRetry, DEFAULTS.connectRetry, problems)

  problems.wholeNumber('max', value.max, 1)
  problems.wholeNumber('min', value.min, 0)
  if (typeof value.max === 'number' && value.max >= 1 && isMore(value.min, value.max))
    problems.add('min', `at most \`max\` (${value.max})`, value.min)
  problems.number('connectionTimeoutMillis', value.connectionTimeoutMillis, 0, 'or Infinity')
  problems.number('idleTimeoutMillis', value.idleTimeoutMillis, 0, 'or Infinity')
  problems.number('maxLifetimeSeconds', value.maxLifetimeSeconds, 0, 'or Infinity')
  problems.number('maxLifetimeJitter', value.maxLifetimeJitter, 0)
  if (isMore(value.maxLifetimeJitter, 1))
    problems.add('maxLifetimeJitter', 'a share from 0 to 1', value.maxLifetimeJitter)
  problems.wholeNumber('maxUses', value.maxUses, 0, 'or Infinity')
  const { maxIdle = value.max } = value
  if (value.maxIdle !== undefined) {
    problems.wholeNumber('maxIdle', maxIdle, 0)
    if (isMore(maxIdle, value.max)) problems.add('maxIdle', `at most \`max\` (${value.max})`, maxIdle)
    if (typeof maxIdle === 'number' && maxIdle >= 0 && isMore(value.min, maxIdle))
      problems.add('maxIdle', `at least \`min\` (${value.min})`, maxIdle)
  }
  problems.wholeNumber('maxWaiting', value.maxWaiting, 0, 'or Infinity')
  problems.oneOf('lifo', value.lifo, [true, false])
  problems.number('keepaliveMillis', value.keepaliveMillis, 0)
  problems.number('leakDetectionMillis', value.leakDetectionMillis, 0)
  problems.wholeNumber('clientConnectionCheckMillis', value.clientConnectionCheckMillis, 0)
  problems.oneOf('allowExitOnIdle', value.allowExitOnIdle, [true, false])
  problems.oneOf('clientPerLease', value.clientPerLease, [true, false])
  problems.oneOf('invalidateOnDisconnect', value.invalidateOnDisconnect, ['all', 'one'])
  checkResetPolicy('resetOnReturn', value.resetOnReturn, problems)
  problems.number('closeTimeoutMillis', value.closeTimeoutMillis, 0)
  problems.oneOf('lostCommit', value.lostCommit, ['resolve', 'report'])
  problems.number('commitTimeoutMillis', value.commitTimeoutMillis, 0)
  if (value.query_timeout !== undefined) problems.number('query_timeout', value.query_timeout, 0)
  if (typeof value.name !== 'string' || value.name === '') problems.add('name', 'a name', value.name)
  for (const hook of ['onConnect', 'verify', 'log'] as const) checkHook(hook, value[hook], problems)
  checkAddress(value, process.env, problems)
  checkSsl(value.ssl, problems)
  const echo = resolveEcho(value.echo, process.env.HOLDFAST_ECHO, problems)
  checkLogger(value.logger, problems)
  if (problems.found.length > 0) throw new OptionsError(problems.found)

  return Object.freeze({
    max: value.max,
    min: value.min,
    connectionTimeoutMillis: deadline,
    idleTimeoutMillis: orNever(value.idleTimeoutMillis),
    maxLifetimeMillis: orNever(value.maxLifetimeSeconds) * 1000,
    maxLifetimeJitter: value.maxLifetimeJitter,
    maxUses: orNever(value.maxUses),
    maxIdle,
    maxWaiting: value.maxWaiting,
    lifo: value.lifo,
    keepaliveMillis: orNever(value.keepaliveMillis),
    leakDetectionMillis: orNever(value.leakDetectionMillis),
    clientConnectionCheckMillis: value.clientConnectionCheckMillis,
    allowExitOnIdle: value.allowExitOnIdle,
    clientPerLease: value.clientPerLease,
    prePing,
    pingTimeoutMillis: (prePing || DEFAULTS.prePing).timeoutMillis,
    invalidateOnDisconnect: value.invalidateOnDisconnect,
    resetOnReturn: value.resetOnReturn,
    connectRetry,
    closeTimeoutMillis: value.closeTimeoutMillis,
    lostCommit: value.lostCommit,
    commitTimeoutMillis: orNever(value.commitTimeoutMillis),
    queryTimeoutMillis: orNever(value.query_timeout),
    addressHint: addressHint(given, process.env),
    name: value.name,
    echo,
    logger: value.logger,
  })
}

/** What pg understands by 0, false, null and nothing. */
function orNever(limit: number | null | undefined): number {
  return limit ? limit : Number.POSITIVE_INFINITY
}

/** What is told elsewhere to be too small shall not be told twice. */
function atLeast(value: number, least: number): number {
  return typeof value === 'number' && value >= least ? value : Number.POSITIVE_INFINITY
}
