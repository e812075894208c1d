import { createRequire } from 'node:module'
import pg, { type Client } from 'pg'
import { OptionsError } from '../errors.ts'

/** The versions of pg that have these parts, as in `peerDependencies`. */
const RANGE = '>=8.21 <9'

/** The private parts that Holdfast calls or replaces, by where they are. */
const PARTS = {
  client: [
    'connect',
    'end',
    'query',
    'ref',
    'unref',
    'getTransactionStatus',
    '_getActiveQuery',
    '_handleRowDescription',
    '_pulseQueryQueue',
  ],
  connection: ['attachListeners', 'cancel', 'connect', 'end', 'requestSsl', 'startup', 'stream', 'parsedStatements'],
  instance: ['connection', 'connectionParameters', '_ending', '_queryable', '_queryQueue', 'processID', 'secretKey'],
  query: ['handleError', 'handleReadyForQuery', 'handleRowDescription', 'requiresPreparation', 'submit'],
  result: ['addFields'],
} as const

/** What each client class lacks, so that each is checked once. */
const CHECKED = new WeakMap<object, string | undefined>()

/**
 * Checks that a client class has the private parts that the pool relies on, so that a future version of pg fails with a
 * clear message when the pool is made.
 *
 * @throws {OptionsError} that names the missing part, and the versions that have it.
 */
export function checkDriver(base: typeof Client): void {
  if (!CHECKED.has(base)) CHECKED.set(base, problemWith(base))
  const problem = CHECKED.get(base)
  if (problem) throw new OptionsError([problem])
}

function problemWith(base: typeof Client): string | undefined {
  const missing = missingIn(base)
  if (!missing) return undefined
  const which = isDerived(base) ? `pg ${version() ?? 'of this version'}` : 'The driver that `Client` belongs to'
  return `${which} lacks ${missing}, which Holdfast relies on: it works with pg ${RANGE}.`
}

/** The first part that a class lacks, by name. */
function missingIn(base: typeof Client): string | undefined {
  const { Query, Result, Connection } = pg as unknown as Record<string, { readonly prototype: object } | undefined>
  const client = lackOf(base.prototype, PARTS.client)
  if (client) return `\`Client.prototype.${client}\``
  if (!isDerived(base)) return undefined
  const query = lackOf(Query?.prototype, PARTS.query)
  if (query) return `\`Query.prototype.${query}\``
  const result = lackOf(Result?.prototype, PARTS.result)
  if (result) return `\`Result.prototype.${result}\``
  if (!Connection) return '`Connection`'
  return missingInInstances()
}

/** The first part that an instance lacks. Makes a client of pg, and not of the user's class, whose constructor may do anything. */
function missingInInstances(): string | undefined {
  let client: Client
  try {
    client = new pg.Client({ host: 'localhost', ssl: false })
  } catch {
    return undefined // An environment variable is wrong. The first attempt to connect reports it.
  }
  const { connection } = client as unknown as { readonly connection?: object }
  const part = lackOf(client, PARTS.instance)
  if (part) return `\`client.${part}\``
  const protocol = lackOf(connection, PARTS.connection)
  return protocol && `\`client.connection.${protocol}\``
}

/** The first of these parts that is missing. */
function lackOf(holder: object | undefined, parts: readonly string[]): string | undefined {
  return parts.find((part) => holder === undefined || !(part in holder))
}

/** A class of another copy of pg may work as well, but its `Query` can't be checked. */
function isDerived(base: typeof Client): boolean {
  return base === pg.Client || base.prototype instanceof pg.Client
}

function version(): string | undefined {
  try {
    const load = createRequire(import.meta.url)
    return String((load('pg/package.json') as { readonly version: unknown }).version)
  } catch {
    return undefined // A bundle has no package.json.
  }
}
