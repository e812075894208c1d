import { checkPool, OptionsError, Pool } from '@holdfast/core'
import { drizzle as stock } from 'drizzle-orm/node-postgres'
import type { DrizzleClient } from './database.ts'

/** Whether it runs statements: a pool or a single client, and no config. */
export function isClient(value: unknown): value is DrizzleClient {
  return typeof value === 'object' && value !== null && 'query' in value && typeof value.query === 'function'
}

/**
 * Passes a Holdfast pool that Drizzle will lease from, and a single client, which it will not.
 * @throws {OptionsError} that says what to do about any other.
 */
export function requireClient(client: unknown): asserts client is DrizzleClient {
  const isPool = isClient(client) && isPoolToDrizzle(client)
  if (isPool || !isClient(client) || client instanceof Pool) checkPool('client', client)
  if (!isPool && client instanceof Pool)
    throw new OptionsError([
      `Drizzle does not recognise \`client\` (${client.constructor.name}) as a pool, and would spread each transaction ` +
        'over several connections. Two copies of pg are installed: see npm ls pg, and npm dedupe. Where they must stay, ' +
        "give the class a name with Pool in it, for minifiers too: static { Object.defineProperty(this, 'name', { value: 'MyPool' }) }",
    ])
}

/** Asks Drizzle itself, by a transaction on a stand-in of the same class: whoever leases from it takes it for a pool. */
function isPoolToDrizzle(client: DrizzleClient): boolean {
  let isPool = false
  const refuse = (): Promise<never> => Promise.reject(new Error('Only a stand-in'))
  const connect = (): Promise<never> => {
    isPool = true
    return refuse()
  }
  const standIn = Object.assign(Object.create(Object.getPrototypeOf(client)), { connect, query: refuse })
  const db = stock({ client: standIn }) as Partial<ReturnType<typeof stock>>
  const session = db._?.session
  if (db.$client !== standIn || typeof session?.transaction !== 'function')
    throw new OptionsError([
      'This drizzle-orm is not supported: @holdfast/drizzle needs drizzle-orm >=0.45 <0.46 || >=1.0.0-rc.5 <2.',
    ])
  session.transaction(refuse).catch(() => {})
  return isPool
}
