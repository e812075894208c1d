import { readConnectionString } from './connection-string.ts'
import type { ResolvedOptions } from './resolved-options.ts'

type Options = Record<string, unknown>

/** These are made non-enumerable in the options of a pool, so that a log doesn't print them; pg does so with `password`. */
const HIDDEN = ['password', 'connectionString'] as const
/** The same in `ssl`; pg does so with `key`. */
const HIDDEN_IN_SSL = ['key', 'passphrase', 'pfx'] as const

/** From the TLS options that a pool shows to those that it was given. */
const originals = new WeakMap<object, object>()

/**
 * Copies the options of a pool, with those that are hidden in the options of another pool, and without those that are
 * undefined. The key words of a connection string become a URL.
 */
export function copyOptions<Given extends object>(given: Given): Given {
  const copy: Options = Object.fromEntries(Object.entries(given))
  for (const key of HIDDEN) copy[key] = (given as Options)[key]
  const { connectionString } = copy
  if (typeof connectionString === 'string') copy.connectionString = urlOf(connectionString)
  for (const [key, value] of Object.entries(copy)) if (value === undefined) delete copy[key]
  return revealTls(copy) as Given
}

/** Replaces the TLS options that a pool shows by those that it was given. */
export function revealTls<Given extends object>(options: Given): Given {
  const { ssl } = options as Options
  const original = typeof ssl === 'object' && ssl !== null ? originals.get(ssl) : undefined
  return original ? { ...options, ssl: original } : options
}

/**
 * Makes `pool.options` show the counts in force, as pg.Pool does, and hides what is secret. A program that copies
 * `pool.options` into the options of a client gets the address of the connection string in `host`, `port` and so on.
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
