import { OptionsError } from '../errors.ts'
import { propertyOf } from '../thrown.ts'
import { checkHook, didYouMean, Problems, readOptions, withoutUndefined } from './check.ts'
import { addressHint, checkAddress, checkSsl } from './connection-string.ts'
import { OPTIONS, type OptionValues } from './option-table.ts'
import type { PoolOptions } from './pool-options.ts'

/** The options as the pool works with them: checked, complete and frozen. "Never" and "no limit" are `Infinity`. */
export interface ResolvedOptions
  extends Omit<OptionValues, 'maxLifetimeSeconds' | 'onConnect' | 'keepAlive' | 'keepAliveInitialDelayMillis'> {
  readonly maxLifetimeMillis: number
  /** The timeout of every ping, even if `prePing` is off. */
  readonly pingTimeoutMillis: number
  /** The same behind a pooler, where a ping may wait for a free session. */
  readonly pooledPingTimeoutMillis: number
  readonly queryTimeoutMillis: number
  /** What to add to a connect error if nothing says where the server is. */
  readonly addressHint: string | undefined
}

/** How long a ping may take behind a pooler, unless the user says so. In milliseconds. */
const POOLED_PING_MILLIS = 5000

const NAMES = Object.keys(OPTIONS)

/** The options of pg that are not ours. A key that resembles one of ours is refused, unless it is one of these. */
const PG_KEYS = new Set(
  `user database password port host connectionString stream statement_timeout ssl enableChannelBinding sslnegotiation
  lock_timeout idle_in_transaction_session_timeout application_name
  fallback_application_name types options client_encoding pipeline log Promise Client verify poolSize binary
  replication scramMaxIterations query_timeout`.split(/\s+/),
)

/** What null and false mean in a number of pg: its default (undefined), or never (0). */
const PG_NUMBERS = {
  max: undefined,
  min: undefined,
  maxUses: undefined,
  maxLifetimeSeconds: undefined,
  connectionTimeoutMillis: undefined,
  keepAliveInitialDelayMillis: undefined,
  idleTimeoutMillis: 0,
  query_timeout: 0,
} as const
const PG_OTHERS = ['allowExitOnIdle', 'Client', 'onConnect', 'verify', 'log'] as const

/**
 * Checks and completes what the user gave.
 *
 * @throws {OptionsError} that names every problem.
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
  const present = asPgReads(withoutUndefined(given))
  const { maxLifetimeSeconds, onConnect, keepAlive, keepAliveInitialDelayMillis, ...values } = readTable(
    present,
    problems,
  )
  if (present.query_timeout !== undefined) problems.number('query_timeout', present.query_timeout, 0)
  for (const hook of ['verify', 'log'] as const) checkHook(hook, present[hook], problems)
  checkAddress(present, process.env, problems)
  checkSsl(present.ssl, problems)
  if (values.budget && values.hosts.length > 1)
    problems.found.push('`budget` needs a single host, since each server counts its own connections.')
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  const { timeoutMillis: pingTimeoutMillis } = values.prePing || OPTIONS.prePing.default
  const isPingTimeoutGiven = propertyOf(present.prePing, 'timeoutMillis') !== undefined
  return Object.freeze({
    ...values,
    maxLifetimeMillis: maxLifetimeSeconds * 1000,
    pingTimeoutMillis,
    pooledPingTimeoutMillis: isPingTimeoutGiven
      ? pingTimeoutMillis
      : Math.min(POOLED_PING_MILLIS, values.connectionTimeoutMillis / 2),
    queryTimeoutMillis: present.query_timeout || Number.POSITIVE_INFINITY,
    addressHint: addressHint(given, process.env),
  })
}

/** Reads each option of the table. The values are right if no problem was found. */
function readTable(present: Readonly<Record<string, unknown>>, problems: Problems): OptionValues {
  const defaults = Object.entries(OPTIONS).map(([option, entry]) => [option, entry.default] as const)
  const all = { ...Object.fromEntries(defaults), ...present }
  const values = Object.entries(OPTIONS).map(([option, entry]) => {
    return [option, entry.read(present[option], { option, default: entry.default, all, problems })] as const
  })
  return Object.fromEntries(values) as unknown as OptionValues
}

/** Refuses keys that were probably meant to be one of our options. All others are passed to pg. */
function checkPoolKeys(given: object, problems: Problems): void {
  for (const key of Object.keys(given)) {
    if (NAMES.includes(key) || PG_KEYS.has(key)) continue
    const meant = didYouMean(key, [...NAMES, 'query_timeout'])
    if (meant) problems.found.push(`\`${key}\` is not an option, did you mean \`${meant}\`?`)
  }
}

/**
 * Reads the options of pg as pg does: `poolSize` is `max`, a number may be a text (as in `process.env`), and null, or false
 * for a number, counts as absent. What isn't understood stays as it is, and is refused later.
 */
function asPgReads<Given extends object>(given: Given): Given {
  const read = new Map<string, unknown>(Object.entries(given))
  if (!read.has('max')) read.set('max', read.get('poolSize'))
  for (const [key, nothing] of Object.entries(PG_NUMBERS)) read.set(key, asNumber(read.get(key), nothing))
  for (const key of PG_OTHERS) if (read.get(key) === null) read.delete(key)
  return Object.fromEntries([...read].filter(([, value]) => value !== undefined)) as Given
}

function asNumber(value: unknown, nothing: 0 | undefined): unknown {
  if (value === null || value === false) return nothing
  const isNumeric = typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value))
  return isNumeric ? Number(value) : value
}
