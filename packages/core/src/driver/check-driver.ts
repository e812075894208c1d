import { createRequire } from 'node:module'
import pg, { type Client } from 'pg'
import { OptionsError } from '../errors.ts'

/** The versions of pg that this was read in, as `peerDependencies` has them. */
const RANGE = '>=8.21 <9'

/** What is relied on, by where it is found: all of it is called, or put in the place of. */
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

/** What was found out about a client class: each is looked at once. */
const LOOKED_AT = new WeakMap<object, string | undefined>()

/**
 * Checks that a client class has what the pool relies on beyond pg's documented surface, so that a driver of tomorrow is
 * refused by name, and not by whatever breaks first.
 *
 * @throws {OptionsError} that names the part that is missing, and the versions that have it.
 */
export function checkDriver(base: typeof Client): void {
  if (!LOOKED_AT.has(base)) LOOKED_AT.set(base, problemWith(base))
  const problem = LOOKED_AT.get(base)
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

/** What only a client has that was made. It connects to nothing; not the user's class, whose constructor may do anything. */
function missingInInstances(): string | undefined {
  let client: Client
  try {
    client = new pg.Client({ host: 'localhost', ssl: false })
  } catch {
    return undefined // The environment's variables are wrong. Whoever opens a connection is told.
  }
  const { connection } = client as unknown as { readonly connection?: object }
  const part = lackOf(client, PARTS.instance)
  if (part) return `\`client.${part}\``
  const protocol = lackOf(connection, PARTS.connection)
  return protocol && `\`client.connection.${protocol}\``
}

/** The first of these that something doesn't have. */
function lackOf(holder: object | undefined, parts: readonly string[]): string | undefined {
  return parts.find((part) => holder === undefined || !(part in holder))
}

/** Another copy of pg may be as good, but says nothing of its queries. */
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
