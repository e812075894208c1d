import { checkRunOptions, OptionsError, Pool, type PoolOptions, type RunOptions } from '@holdfast/core'
import { type NodePgDatabase, drizzle as stock } from 'drizzle-orm/node-postgres'
import { checkClient, isClient } from './client.ts'
import type { Drizzle, HoldfastDatabase } from './database.ts'
import { retryTransactions, sendSelectsAgain } from './drizzle-patches.ts'
import { PoolWithoutAddress } from './pool-without-address.ts'

/**
 * Drizzle on a Holdfast pool: `drizzle` of drizzle-orm/node-postgres, in each way that Drizzle has to call it, and `retry`.
 *
 * @example await db.transaction(async (tx) => tx.insert(orders).values(order), { retry: true })
 */
export const drizzle: Drizzle = Object.assign(makeDatabase as unknown as Drizzle, {
  mock: stock.mock as Drizzle['mock'],
})

type Config = Pick<RunOptions, 'retry'> & { readonly [Key in 'client' | 'connection' | 'idempotentSelects']?: unknown }

function makeDatabase(first: unknown, second?: Config): HoldfastDatabase {
  const { client: given, connection, retry, idempotentSelects = false, ...ofDrizzle } = configOf(first, second)
  const client = given === undefined ? poolFor(connection) : given
  checkClient(client)
  if (retry !== undefined) checkRunOptions('drizzle', { retry })
  if (typeof idempotentSelects !== 'boolean')
    throw new OptionsError([`\`idempotentSelects\` must be true or false, got ${String(idempotentSelects)}.`])
  const db = stock({ ...ofDrizzle, client })
  // Drizzle 0.45 recognises a config by its values, and takes one with a wrong value for a client.
  if ((db.$client as unknown) !== client)
    throw new OptionsError(['Drizzle refuses its config: look at `logger` (has it a `logQuery`?), `schema`, `casing`.'])
  if (idempotentSelects && client instanceof Pool) sendSelectsAgain(db as unknown as NodePgDatabase, client)
  return retryTransactions(db as unknown as NodePgDatabase, retry)
}

/** One config for each way to call `drizzle`. It has at most one of `client` and `connection`. */
function configOf(first: unknown, second: Config | undefined): Config {
  if (isUnset(first)) return configOf(second ?? {}, undefined)
  const isAddress = typeof first === 'string' || isClient(first)
  if (!isAddress && (typeof first !== 'object' || first === null))
    throw new OptionsError([`drizzle takes a connection string, a client or a config first, got ${String(first)}.`])
  const config: Config = isAddress ? (second ?? {}) : first
  const addresses = [
    isAddress ? 'its first argument' : second && 'a second argument',
    config.client !== undefined && '`client`',
    config.connection !== undefined && '`connection`',
  ].filter(Boolean)
  if (addresses.length > 1)
    throw new OptionsError([`drizzle needs one \`client\` or \`connection\`, got ${addresses.join(' and ')}.`])
  return isAddress ? { ...config, [isClient(first) ? 'client' : 'connection']: first } : config
}

/** As from a variable that isn't set. */
function isUnset(address: unknown): boolean {
  return address === undefined || address === ''
}

function poolFor(connection: unknown): Pool {
  if (isUnset(connection)) return new PoolWithoutAddress()
  if (typeof connection === 'string') return new Pool({ connectionString: connection })
  if (typeof connection === 'object' && connection !== null && !isClient(connection))
    return new Pool(connection as PoolOptions)
  throw new OptionsError(['`connection` must be a connection string, or the options of a pool. A pool is a `client`.'])
}
