import { readConnectionString } from './connection-string.ts'
import type { ResolvedOptions } from './resolved-options.ts'

type Options = Record<string, unknown>

/** What isn't enumerable in the options of a pool, so that nobody prints it by accident; pg does so with `password`. */
const HIDDEN = ['password', 'connectionString'] as const
/** The same in its `ssl`; pg does so with `key`. */
const HIDDEN_IN_SSL = ['key', 'passphrase', 'pfx'] as const

/** TLS options as they were given, by the ones that are shown. */
const originals = new WeakMap<object, object>()

/**
 * Copies options of a pool, also those that are hidden in another pool's, and leaves out what is undefined. The key words of
 * a connection string become a URL.
 */
export function copyOptions<Given extends object>(given: Given): Given {
  const copy: Options = Object.fromEntries(Object.entries(given))
  for (const key of HIDDEN) copy[key] = (given as Options)[key]
  const { connectionString } = copy
  if (typeof connectionString === 'string') copy.connectionString = urlOf(connectionString)
  for (const [key, value] of Object.entries(copy)) if (value === undefined) delete copy[key]
  return revealTls(copy) as Given
}

/** Options with the TLS options as they were given. */
export function revealTls<Given extends object>(options: Given): Given {
  const { ssl } = options as Options
  const original = typeof ssl === 'object' && ssl !== null ? originals.get(ssl) : undefined
  return original ? { ...options, ssl: original } : options
}

/**
 * Has `pool.options` show the counts in force, as pg.Pool does, and hide what is secret. Whoever spreads them into options
 * of a client finds the address there that the connection string has.
 */
export function showOptions(shown: object, resolved: ResolvedOptions, addressOf: (url: string) => object): void {
  const { max, min, maxUses, allowExitOnIdle } = resolved
  Object.assign(shown, { max, min, maxUses, allowExitOnIdle })
  const options = shown as Options
  const { connectionString } = options
  if (typeof connectionString === 'string' && mayHoldPassword(connectionString)) {
    Object.assign(options, addressOf(connectionString))
    for (const key of HIDDEN) hide(options, key)
  }
  const { ssl } = options
  if (typeof ssl === 'object' && ssl !== null) options.ssl = withoutSecrets(ssl)
}

function urlOf(connectionString: string): string {
  const read = readConnectionString(connectionString)
  return 'url' in read ? read.url : connectionString
}

function mayHoldPassword(connectionString: string): boolean {
  return /@|password/i.test(connectionString)
}

function withoutSecrets(ssl: object): object {
  if (!HIDDEN_IN_SSL.some((key) => key in ssl)) return ssl
  const shown = Object.create(Object.getPrototypeOf(ssl), Object.getOwnPropertyDescriptors(ssl))
  for (const key of HIDDEN_IN_SSL) hide(shown, key)
  originals.set(shown, originals.get(ssl) ?? ssl)
  return shown
}

function hide(holder: object, key: string): void {
  if (!(key in holder)) return
  const value = (holder as Options)[key]
  Object.defineProperty(holder, key, { value, enumerable: false, configurable: true, writable: true })
}
