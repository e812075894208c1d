import { checkPool, OptionsError, Pool } from '@holdfast/core'
import { drizzle as stock } from 'drizzle-orm/node-postgres'
import type { DrizzleClient } from './database.ts'

/** Whether it is a pool or a single client, and not a config. */
export function isClient(value: unknown): value is DrizzleClient {
  return typeof value === 'object' && value !== null && 'query' in value && typeof value.query === 'function'
}

/**
 * Checks what `drizzle` is given as its client: a Holdfast pool from which Drizzle leases, or a single client.
 *
 * @throws {OptionsError} for anything else; it says what to do.
 */
export function checkClient(client: unknown): asserts client is DrizzleClient {
  const leases = isClient(client) && drizzleLeasesFrom(client)
  if (leases || !isClient(client) || client instanceof Pool) checkPool('client', client)
  if (!leases && client instanceof Pool)
    throw new OptionsError([
      `Drizzle does not recognise \`client\` (${client.constructor.name}) as a pool, and would spread each transaction ` +
        'over several connections. Two copies of pg are installed: see npm ls pg, and npm dedupe. Where they must stay, ' +
        "give the class a name with Pool in it, for minifiers too: static { Object.defineProperty(this, 'name', { value: 'MyPool' }) }",
    ])
}

/**
 * Whether Drizzle takes this client for a pool. Drizzle decides it in `session.transaction`, by the class and its name. So
 * it is asked, by a transaction on a stand-in of the same class: if Drizzle calls `connect()`, it leases.
 *
 * If Drizzle decides otherwise one day, 'make Holdfast refuse a pool that Drizzle would not recognise, and name a remedy that
 * works' in test/adapters/drizzle/bad-input.test.ts fails.
 */
function drizzleLeasesFrom(client: DrizzleClient): boolean {
  let leases = false
  const refuse = (): Promise<never> => Promise.reject(new Error('Only a stand-in'))
  const connect = (): Promise<never> => {
    leases = true
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
  return leases
}
