import { checkRunOptions, OptionsError, Pool, type PoolOptions, type RunOptions } from '@holdfast/core'
import { type NodePgDatabase, drizzle as stock } from 'drizzle-orm/node-postgres'
import { isClient, requireClient } from './client.ts'
import type { Drizzle, HoldfastDatabase } from './database.ts'
import { PoolWithoutAddress } from './no-address.ts'
import { repeatSelects } from './selects.ts'
import { withRetry } from './transaction.ts'

/**
 * Drizzle on a Holdfast pool: `drizzle` of drizzle-orm/node-postgres with every call of its own, and `retry`.
 * @example await db.transaction(async (tx) => tx.insert(orders).values(order), { retry: true })
 */
export const drizzle: Drizzle = Object.assign(make as unknown as Drizzle, { mock: stock.mock as Drizzle['mock'] })

type Given = Pick<RunOptions, 'retry'> & { readonly [Key in 'client' | 'connection' | 'idempotentSelects']?: unknown }

function make(first: unknown, second?: Given): HoldfastDatabase {
  const { client: given, connection, retry, idempotentSelects = false, ...config } = settings(first, second)
  const client = given === undefined ? poolFor(connection) : given
  requireClient(client)
  if (retry !== undefined) checkRunOptions('drizzle', { retry })
  if (typeof idempotentSelects !== 'boolean')
    throw new OptionsError([`\`idempotentSelects\` must be true or false, got ${String(idempotentSelects)}.`])
  const db = stock({ ...config, client })
  // Drizzle 0.45 tells a config by its values, and takes one that is wrong for a client.
  if ((db.$client as unknown) !== client)
    throw new OptionsError(['Drizzle refuses its config: look at `logger` (has it a `logQuery`?), `schema`, `casing`.'])
  if (idempotentSelects && client instanceof Pool) repeatSelects(db as unknown as NodePgDatabase, client)
  return withRetry(db as unknown as NodePgDatabase, retry)
}

/** Both forms as one config, in which it is told at most once where to connect. */
function settings(first: unknown, second: Given | undefined): Given {
  if (isAbsent(first)) return settings(second ?? {}, undefined)
  const isTarget = typeof first === 'string' || isClient(first)
  if (!isTarget && (typeof first !== 'object' || first === null))
    throw new OptionsError([`drizzle takes a connection string, a client or a config first, got ${String(first)}.`])
  const config: Given = isTarget ? (second ?? {}) : first
  const extra = isTarget ? 'its first argument' : second && 'a second argument'
  const ways = [extra, config.client !== undefined && '`client`', config.connection !== undefined && '`connection`']
  const told = ways.filter(Boolean)
  if (told.length > 1)
    throw new OptionsError([`drizzle needs one \`client\` or \`connection\`, got ${told.join(' and ')}.`])
  return isTarget ? { ...config, [isClient(first) ? 'client' : 'connection']: first } : config
}

/** A variable that isn't set. */
function isAbsent(address: unknown): boolean {
  return address === undefined || address === ''
}

function poolFor(connection: unknown): Pool {
  if (isAbsent(connection)) return new PoolWithoutAddress()
  if (typeof connection === 'string') return new Pool({ connectionString: connection })
  if (typeof connection === 'object' && connection !== null && !isClient(connection))
    return new Pool(connection as PoolOptions)
  throw new OptionsError(['`connection` must be a connection string, or the options of a pool. A pool is a `client`.'])
}
