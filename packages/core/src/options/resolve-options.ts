import { OptionsError } from '../errors.ts'
import type { PrePing } from '../policy/liveness.ts'
import { RESET_POLICIES } from '../policy/reset.ts'
import { Problems } from './check.ts'
import { DEFAULTS } from './defaults.ts'
import { didYouMean } from './did-you-mean.ts'
import type { ConnectRetryOptions, PoolOptions, PrePingOptions } from './pool-options.ts'
import type { ConnectRetry, ResolvedOptions } from './resolved-options.ts'

/**
 * Checks and completes what the user gave.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveOptions(given: PoolOptions): ResolvedOptions {
  const problems = new Problems()
  checkKeys(given, problems)
  const value = { ...DEFAULTS, ...withoutUndefined(given) }
  const prePing = resolvePrePing(value.prePing, problems)
  const connectRetry = resolveConnectRetry(value.connectRetry, problems)

  problems.wholeNumber('max', value.max, 1)
  problems.wholeNumber('min', value.min, 0)
  if (value.min > value.max) problems.add('min', `at most \`max\` (${value.max})`, value.min)
  problems.number('connectionTimeoutMillis', value.connectionTimeoutMillis, 0)
  if (value.idleTimeoutMillis !== null) problems.number('idleTimeoutMillis', value.idleTimeoutMillis, 0)
  problems.number('maxLifetimeSeconds', value.maxLifetimeSeconds, 0, 'or Infinity')
  problems.number('maxLifetimeJitter', value.maxLifetimeJitter, 0)
  if (value.maxLifetimeJitter > 1) problems.add('maxLifetimeJitter', 'a share from 0 to 1', value.maxLifetimeJitter)
  problems.number('maxUses', value.maxUses, 1, 'or Infinity')
  problems.oneOf('invalidateOnDisconnect', value.invalidateOnDisconnect, ['all', 'one'])
  problems.oneOf('resetOnReturn', value.resetOnReturn, RESET_POLICIES)
  problems.number('closeTimeoutMillis', value.closeTimeoutMillis, 0)
  if (value.query_timeout !== undefined) problems.number('query_timeout', value.query_timeout, 0)
  if (typeof value.name !== 'string' || value.name === '') problems.add('name', 'a name', value.name)
  const deadline = orNever(value.connectionTimeoutMillis)
  if (prePing && prePing.timeoutMillis >= deadline)
    problems.add(
      'prePing.timeoutMillis',
      `shorter than \`connectionTimeoutMillis\` (${deadline})`,
      prePing.timeoutMillis,
    )
  if (problems.found.length > 0) throw new OptionsError(problems.found)

  return Object.freeze({
    max: value.max,
    min: value.min,
    connectionTimeoutMillis: deadline,
    idleTimeoutMillis: orNever(value.idleTimeoutMillis),
    maxLifetimeMillis: orNever(value.maxLifetimeSeconds) * 1000,
    maxLifetimeJitter: value.maxLifetimeJitter,
    maxUses: value.maxUses,
    allowExitOnIdle: value.allowExitOnIdle,
    prePing,
    invalidateOnDisconnect: value.invalidateOnDisconnect,
    resetOnReturn: value.resetOnReturn,
    connectRetry,
    closeTimeoutMillis: value.closeTimeoutMillis,
    queryTimeoutMillis: orNever(value.query_timeout),
    name: value.name,
  })
}

/** What pg understands by 0, false, null and nothing. */
function orNever(millis: number | null | undefined): number {
  return millis ? millis : Number.POSITIVE_INFINITY
}

const OUR_KEYS = [...Object.keys(DEFAULTS), 'onConnect', 'query_timeout']

// A key that only resembles ours is refused, so what pg itself takes has to be known.
const PG_KEYS = new Set(
  `user database password port host connectionString stream statement_timeout ssl enableChannelBinding sslnegotiation
  lock_timeout keepAliveInitialDelayMillis idle_in_transaction_session_timeout application_name
  fallback_application_name types options client_encoding pipeline log Promise Client verify poolSize binary
  replication scramMaxIterations`.split(/\s+/),
)

function checkKeys(given: PoolOptions, problems: Problems): void {
  if (typeof given !== 'object' || given === null) {
    problems.add('options', 'an object, such as { connectionString }', given)
    return
  }
  for (const key of Object.keys(given)) {
    if (OUR_KEYS.includes(key) || PG_KEYS.has(key)) continue
    const meant = didYouMean(key, OUR_KEYS)
    if (meant) problems.found.push(`\`${key}\` is not an option, did you mean \`${meant}\`?`)
  }
}

function resolvePrePing(given: boolean | PrePingOptions, problems: Problems): PrePing | false {
  if (given === false) return false
  if (given === true) return DEFAULTS.prePing
  if (typeof given !== 'object' || given === null) {
    problems.add('prePing', 'true, false, or { idleMillis, timeoutMillis }', given)
    return false
  }
  const prePing = { ...DEFAULTS.prePing, ...withoutUndefined(given) }
  problems.number('prePing.idleMillis', prePing.idleMillis, 0)
  problems.number('prePing.timeoutMillis', prePing.timeoutMillis, 1)
  return Object.freeze(prePing)
}

function resolveConnectRetry(given: false | ConnectRetryOptions, problems: Problems): ConnectRetry | false {
  if (given === false) return false
  if (typeof given !== 'object' || given === null) {
    problems.add('connectRetry', "false, or p-retry's options", given)
    return false
  }
  const retry = { ...DEFAULTS.connectRetry, ...withoutUndefined(given) }
  problems.number('connectRetry.retries', retry.retries, 0, 'or Infinity')
  problems.number('connectRetry.minTimeout', retry.minTimeout, 0)
  problems.number('connectRetry.maxTimeout', retry.maxTimeout, 0, 'or Infinity')
  problems.number('connectRetry.factor', retry.factor, 1)
  return Object.freeze(retry)
}

type Present<Given> = { [Key in keyof Given]: Exclude<Given[Key], undefined> }

/** A key that is present with the value `undefined` is absent: TypeORM passes many of those. */
export function withoutUndefined<Given extends object>(given: Given): Present<Given> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<Given>
}
