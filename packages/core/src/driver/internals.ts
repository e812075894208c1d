import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { type Client, Query, type QueryResult, type types } from 'pg'
import type { Endpoint } from '../errors.ts'
import type { TransactionStatus } from '../policy/reset.ts'

/**
 * What the pool relies on in a `pg.Client` beyond its documented surface; read in pg 8.21 to 8.23. Nothing else in the
 * package says what the driver's private parts are.
 */
export interface DriverInternals {
  /** Whether the server has answered everything that was sent (ReadyForQuery). */
  readonly readyForQuery?: boolean
  /** The protocol layer: emits `errorMessage` and `readyForQuery`; its stream is replaced when TLS starts. */
  readonly connection: ReadingProtocol & {
    /** Prepared statements that the server knows, and those on their way to it. */
    parsedStatements: Record<string, string>
    submittedNamedStatements: Record<string, string>
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
  /** Whether the socket is alive, and nobody has ended the client. */
  readonly _queryable: boolean
  readonly _ending: boolean
  /** The statement that the server works on, or what else its answers go to: a cursor. */
  _getActiveQuery(): object | null | undefined
  /** Told what the server refuses. */
  _handleErrorMessage(message: Error): void
  /** Told what the rows will be made of. */
  _handleRowDescription(message: { readonly fields: FieldDescription[] }): void
  /** Statements that wait for the one that the server works on. */
  readonly _queryQueue: unknown[]
  _pulseQueryQueue(): void
}

/** The driver's protocol layer, as far as it acts when a socket has something to tell. In pg 8.21 it has one method less. */
export interface ReadingProtocol extends EventEmitter {
  readonly stream: Duplex
  connect(port: number | string, host?: string): unknown
  /** Has what arrives be parsed, and each message be emitted. Called once more when TLS replaces the socket. */
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

/** The driver's own statement, as far as it is told what its rows will be made of. */
export interface DescribedQuery {
  readonly text: string
  readonly callback: unknown
  readonly _result: DescribedResult
  /** Whether the result is to keep the rows. */
  _accumulateRows: unknown
  /** What became of a row, or of all, in this process: told when the server has said all. */
  _canceledDueToError: unknown
  handleRowDescription(message: { readonly fields: FieldDescription[] }): void
  listeners(event: 'row'): unknown[]
}

/** Its result. */
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

/** What the driver calls on what it was given to submit: when it is its turn, and for each message of the server. */
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

/** The private parts of a client. */
export function internalsOf(client: Client): DriverInternals {
  return client as unknown as DriverInternals
}

/**
 * Has a client open its socket by `run`. Not the client as a whole: a `connect` of the user's, or of an instrumentation,
 * does more than that.
 */
export function openSocketBy(client: Client, run: (open: () => void) => void): void {
  const protocol = internalsOf(client).connection as { connect?: (...to: unknown[]) => void }
  const { connect } = protocol
  if (typeof connect === 'function') protocol.connect = (...to) => run(() => connect.apply(protocol, to))
}

/** What a statement of the pool ended with. */
export type StatementDone = (error: Error | null, result?: QueryResult) => void

/**
 * Sends a statement of the pool: not refused outside a lease, not counted as the holder's, and unseen by what subclasses
 * and instrumentations have put around `query`, since it isn't the application's.
 */
export function sendStatement(client: Client, sql: string, done: StatementDone): void {
  const internals = internalsOf(client)
  if (!internals._queryable || internals._ending) {
    process.nextTick(done, new Error('The connection is closed'))
    return
  }
  enqueue(internals, queryOf(sql, done))
}

/** Answers to the pool are texts, whatever the application has the driver make of them. */
const TEXTS = { getTypeParser: () => String }

/** A statement of the pool, as the driver takes it. */
export function queryOf(sql: string, done: StatementDone): DriverQuery {
  const query = new Query<never, never>({ text: sql, types: TEXTS } as never) as unknown as DriverQuery
  query.callback = done
  return query
}

/** Puts a statement of the pool in the driver's line: sent in its turn. */
export function enqueue(internals: DriverInternals, query: DriverQuery): void {
  internals._queryQueue.push(query)
  internals._pulseQueryQueue()
}

/** Puts a statement in front of the driver's line: sent when the server is ready, before all that waits. */
export function enqueueFirst(internals: DriverInternals, query: DriverQuery): void {
  internals._queryQueue.unshift(query)
}

/**
 * Has the driver believe that its socket was closed, so that it tells all who wait for an answer. What still arrives is
 * thrown away.
 */
export function detach(client: Client): void {
  const { connection } = internalsOf(client)
  const { stream } = connection
  stream.removeAllListeners('data')
  stream.on('data', () => {})
  connection.emit('end')
}

/** What the driver keeps of a statement. */
export interface DriverQuery {
  submit(connection: unknown): Error | null
  handleError(error: Error, connection: unknown): void
  callback?: StatementDone
}

/** Says goodbye by the driver's own method, past what a subclass overrides: `LeasedClient` takes an `end` for a loss. */
export type EndClient = (client: Client) => unknown

/** The driver's own `end`, from its class. */
export function endOf(base: typeof Client): EndClient {
  const { end } = base.prototype as unknown as { end(this: Client, done: () => void): unknown }
  return (client) => end.call(client, () => {})
}

/** Where a client leads to. */
export function endpointOf(client: Client, hint: string | undefined): Endpoint {
  const { host, port, database } = client as Client & { readonly database?: string | undefined }
  return { host, port, database, ...(hint !== undefined && { hint }) }
}
