import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import type { Duplex } from 'node:stream'
import pg, { type Client, type QueryResult, type types } from 'pg'
import { OptionsError } from '../errors.ts'
import type { TransactionStatus } from '../policy/reset.ts'

/**
 * What Holdfast relies on in a `pg.Client` beyond its documented surface, as in pg 8.21 to 8.23. This file alone names the
 * driver's private parts.
 */
export interface DriverInternals {
  /** Whether the server has answered everything that was sent (ReadyForQuery). */
  readonly readyForQuery?: boolean
  /** The protocol layer: emits `errorMessage` and `readyForQuery`; its stream is replaced when TLS starts. */
  readonly connection: ReadingProtocol & {
    /** Prepared statements that the server knows, and those on their way to it, which pg 8.21 doesn't note. */
    parsedStatements: Record<string, string>
    submittedNamedStatements?: Record<string, string>
    /** Sends Parse. */
    parse(statement: { readonly name?: string | undefined }, ...rest: unknown[]): void
    /** Sends Close, for a statement (S) or a portal (P). */
    close(what: { readonly type: string; readonly name?: string | undefined }, ...rest: unknown[]): void
    /** Sends Sync: the end of what belongs together. */
    sync(): void
  }
  readonly connectionParameters: {
    query_timeout: number | false
    /** Sent at start-up, whether they come from the connection string, the config or PGOPTIONS. */
    options?: string | undefined
    readonly ssl?: boolean | object
    readonly sslnegotiation?: string
  }
  readonly processID: number | null
  readonly secretKey: number | null
  getTransactionStatus(): TransactionStatus
  /** Whether the socket is alive, and `end` hasn't been called. */
  readonly _queryable: boolean
  readonly _ending: boolean
  /** The statement that the server executes, or a cursor: what its answers go to. */
  _getActiveQuery(): object | null | undefined
  /** Called with each error of the server. */
  _handleErrorMessage(message: Error): void
  /** Called with the columns of the rows that follow. */
  _handleRowDescription(message: { readonly fields: FieldDescription[] }): void
  /** Statements that wait until the server is ready. */
  readonly _queryQueue: unknown[]
  _pulseQueryQueue(): void
}

/** The part of the driver's protocol layer that acts when data arrives. pg 8.21 has no `upgradeToSSL`. */
export interface ReadingProtocol extends EventEmitter {
  readonly stream: Duplex
  connect(port: number | string, host?: string): unknown
  /** Parses what arrives, and emits each message. Called again when TLS replaces the socket. */
  attachListeners(stream: Duplex): void
  upgradeToSSL?(host: unknown, reportStreamError: unknown): void
  startup(config: unknown): void
}

/** One column of the rows that a statement returns, as the server describes it. */
export interface FieldDescription {
  name: string
  readonly dataTypeID: number
  readonly format?: 'text' | 'binary'
}

/** The part of the driver's own statement that receives the description of its rows. */
export interface DescribedQuery {
  readonly text: string
  readonly callback: unknown
  readonly _result: DescribedResult
  /** Whether the result is to keep the rows. */
  _accumulateRows: unknown
  /** An error that occurred in this process while rows were read. The statement fails of it when the server is ready. */
  _canceledDueToError: unknown
  handleRowDescription(message: { readonly fields: FieldDescription[] }): void
  listeners(event: 'row'): unknown[]
}

/** The result of a statement. */
export interface DescribedResult {
  /** Null until it is complete. */
  readonly command: string | null
  readonly _types: Pick<typeof types, 'getTypeParser'> | undefined
  fields: FieldDescription[]
  _parsers: unknown[] | undefined
  /** Each row begins as a copy of it. */
  _prebuiltEmptyResultObject: object | null
  addFields(fields: FieldDescription[]): void
}

/** The part of the driver's own statement that keeps what the server has said of it. */
export interface AnsweredQuery {
  readonly _result: Pick<DescribedResult, 'command'>
  readonly _results: QueryResult
  readonly _canceledDueToError: unknown
  /** Whether it is sent by the extended protocol. */
  requiresPreparation(): boolean
}

/** The methods that the driver calls on a submittable: when it is its turn, and for each message of the server. */
export const CALLED_BY_DRIVER = [
  'submit',
  'handleRowDescription',
  'handleDataRow',
  'handlePortalSuspended',
  'handleCommandComplete',
  'handleEmptyQuery',
  'handleCopyInResponse',
  'handleCopyData',
  'handleReadyForQuery',
  'handleError',
] as const

/** The property of a client that tells the process id of its session: who reads it may end that session. */
export const PID_PROPERTY = 'processID'

/** The private parts of a client. */
export function internalsOf(client: Client): DriverInternals {
  return client as unknown as DriverInternals
}

/** Called when a statement of the pool's own has ended. */
export type StatementDone = (error: Error | null, result?: QueryResult) => void

/** A statement, as the driver keeps it in its queue. */
export interface DriverQuery {
  submit(connection: unknown): Error | null
  handleError(error: Error, connection: unknown): void
  callback?: StatementDone
}

/** Ends a client by the driver's own method, and not by an override: `LeasedClient` counts a call of `end` as a loss. */
export type EndClient = (client: Client) => unknown

/** The driver's own `end`, from its class. */
export function endOf(base: typeof Client): EndClient {
  const { end } = base.prototype as unknown as { end(this: Client, done: () => void): unknown }
  return (client) => end.call(client, () => {})
}

/**
 * Takes the `query_timeout` that the driver would apply, and turns the driver's off: its timer leaves the connection
 * half-open, and counts the time in which the event loop was blocked.
 */
export function takeQueryTimeout(client: Client): number | undefined {
  const parameters = internalsOf(client).connectionParameters
  const millis = Number(parameters.query_timeout) || undefined
  parameters.query_timeout = 0
  return millis
}

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
  connection: [
    'attachListeners',
    'cancel',
    'connect',
    'end',
    'requestSsl',
    'startup',
    'stream',
    'parsedStatements',
    'parse',
    'bind',
    'execute',
    'close',
    'sync',
  ],
  instance: ['connection', 'connectionParameters', '_ending', '_queryable', '_queryQueue', 'processID', 'secretKey'],
  query: ['handleError', 'handleReadyForQuery', 'handleRowDescription', 'requiresPreparation', 'submit'],
  result: ['addFields', 'addCommandComplete'],
  statement: ['_result', '_results', '_canceledDueToError'],
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
  const part = lackOf(new pg.Query('', []), PARTS.statement)
  return part ? `\`query.${part}\`` : missingInInstances()
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
