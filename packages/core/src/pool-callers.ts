import type { QueryResult } from 'pg'
import type { Connection } from './connection/connection.ts'
import { tieToConnection } from './connection/leased-client-factory.ts'
import type { LeasedClient } from './connection/physical-client.ts'
import type { Engine } from './engine/engine.ts'
import type { Waiter } from './engine/waiter-list.ts'
import { type AcquireOptions, checkAcquireOptions } from './options/call-options.ts'
import { withoutUndefined } from './options/check.ts'
import type { Call } from './rerun/read-again.ts'
import { type RerunSource, Reruns } from './rerun/reruns.ts'
import { systemClock } from './runtime/clock.ts'
import { markForAnyContext } from './runtime/context.ts'
import { currentScope, endedAttempt, type PoolOptionsScope } from './runtime/pool-options-scope.ts'
import { failure } from './runtime/stack.ts'
import { toError } from './thrown.ts'

/** The callback of `connect(callback)`, with pg's three arguments. */
export type ConnectCallback = (
  error: Error | undefined,
  client: LeasedClient | undefined,
  release: (discard?: Error | boolean) => void,
) => void

/** The callback of `query(…, callback)`. */
export type ResultCallback = (error: Error | null | undefined, result?: QueryResult) => void

/** Waits for a connection on behalf of `connect()`, and resolves its promise. */
export class ConnectWaiter implements Waiter {
  readonly options: PoolOptionsScope | undefined
  readonly stack: string | undefined
  readonly #resolve: (client: LeasedClient | Promise<never>) => void

  constructor(
    resolve: (client: LeasedClient | Promise<never>) => void,
    options: PoolOptionsScope | undefined,
    stack: string | undefined,
  ) {
    this.#resolve = resolve
    this.options = options
    this.stack = stack
  }

  leased(connection: Connection): void {
    this.#resolve(connection.clientForLease())
  }

  failed(error: Error): void {
    this.#resolve(failure(error))
  }
}

/** Waits for a connection on behalf of `connect(callback)`. */
export class ConnectCallbackWaiter implements Waiter {
  readonly options: PoolOptionsScope | undefined
  readonly stack: string | undefined
  readonly #callback: ConnectCallback

  constructor(callback: ConnectCallback, options: PoolOptionsScope | undefined, stack: string | undefined) {
    this.#callback = callback
    this.options = options
    this.stack = stack
  }

  // Callers rely on it that the callback doesn't run before connect() has returned.
  leased(connection: Connection): void {
    const client = connection.clientForLease()
    process.nextTick(this.#callback, undefined, client, client.release)
  }

  failed(error: Error): void {
    process.nextTick(this.#callback, error, undefined, () => {})
  }
}

/** What a statement of `pool.query` needs from the engine. */
export type QueryEngine = Pick<Engine, 'reacquire' | 'release' | 'runsUserCodeOnRelease' | 'publisher' | 'reads'>

/** A statement of `pool.query`, and what differs by where its client comes from. */
interface PoolStatement<Lease> extends Call {
  readonly done: ResultCallback
  readonly options?: PoolOptionsScope | undefined
  readonly source: RerunSource
  /** Undefined as long as it hasn't failed. */
  reruns: Reruns | undefined
  release(lease: Lease): void
  /** Gets another client to run it again; false if its deadline has passed. */
  reacquire(lease: Lease): boolean
}

/** Runs a statement on a client, and releases that before the caller is told, or before the statement runs again. */
function runStatement<Lease>(
  statement: PoolStatement<Lease>,
  client: LeasedClient,
  lease: Lease,
  mayAnswerInAnyContext: boolean,
): void {
  const wasInTransaction = isInTransaction(client)
  const answered = (error: Error | null, result: QueryResult): void => {
    // The transaction that this statement has begun ends as the connection is released.
    if (!wasInTransaction && isInTransaction(client))
      statement.source.publisher.publish({ type: 'transaction-left-open' })
    statement.release(lease)
    if (error && runsAgain(statement, lease, error)) return
    statement.done(error ?? undefined, result)
  }
  if (mayAnswerInAnyContext) markForAnyContext(answered)
  try {
    if (statement.reruns) statement.reruns.run(client, answered)
    else client.query(statement.query as string, statement.values as unknown[], answered)
  } catch (error) {
    // Nothing was sent, because this is no query.
    statement.release(lease)
    process.nextTick(statement.done, error || toError(error))
  }
}

function runsAgain<Lease>(statement: PoolStatement<Lease>, lease: Lease, error: Error): boolean {
  statement.reruns ??= new Reruns(statement, statement.source)
  if (!statement.reruns.afterError(error)) return false
  if (statement.reacquire(lease)) return true
  statement.reruns.refuse(error, 'its caller has no time left')
  return false
}

/** What the caller of a statement is told when there is no connection for it, or none for its next run. */
function failureOf<Lease>({ options, query, reruns }: PoolStatement<Lease>, reason: Error): Error {
  const isGivenUp = (options ?? acquireOptionsIn(query))?.signal?.aborted === true
  return isGivenUp ? reason : (reruns?.errorWithout(reason) ?? reason)
}

/** Waits for a connection on behalf of `query()`. The lease lasts as long as the statement. */
export class QueryWaiter implements Waiter, PoolStatement<Connection> {
  readonly query: unknown
  readonly values: unknown[] | undefined
  readonly done: ResultCallback
  readonly options: PoolOptionsScope | undefined
  readonly stack: string | undefined
  reruns: Reruns | undefined = undefined
  readonly #isPromise: boolean
  readonly #engine: QueryEngine

  /** `isPromise` says that `done` only resolves a promise. */
  constructor(
    query: unknown,
    values: unknown[] | undefined,
    done: ResultCallback,
    isPromise: boolean,
    engine: QueryEngine,
    options: PoolOptionsScope | undefined,
    stack: string | undefined,
  ) {
    this.query = query
    this.values = values
    this.done = done
    this.options = options
    this.stack = stack
    this.#isPromise = isPromise
    this.#engine = engine
  }

  get source(): RerunSource {
    return this.#engine
  }

  leased(connection: Connection): void {
    // A statement that runs again does so in the context in which the last one was answered.
    const mayAnswerInAnyContext = this.#isPromise && !this.options && !this.#engine.runsUserCodeOnRelease(this)
    runStatement(this, connection.client, connection, mayAnswerInAnyContext)
  }

  failed(error: Error): void {
    // In the next tick: a callback that throws must not keep the other waiters from being told.
    process.nextTick(this.done, failureOf(this, error))
  }

  release(connection: Connection): void {
    this.#engine.release(connection)
  }

  reacquire(connection: Connection): boolean {
    return this.#engine.reacquire(this, connection.lease.askedAt)
  }
}

/** Calls `connect()` with these options. */
type Connect = (options: AcquireOptions | undefined, callback: ConnectCallback) => void

/** A statement whose client comes from a `connect()` that the user has overridden or instrumented. */
export class QueryThroughConnect implements PoolStatement<LeasedClient> {
  readonly query: unknown
  readonly values: unknown[] | undefined
  readonly done: ResultCallback
  readonly source: RerunSource
  reruns: Reruns | undefined = undefined
  readonly #connect: Connect
  readonly #until: number

  /** Runs again until this time. */
  constructor(
    query: unknown,
    values: unknown[] | undefined,
    done: ResultCallback,
    source: RerunSource,
    connect: Connect,
    until: number,
  ) {
    this.query = query
    this.values = values
    this.done = done
    this.source = source
    this.#connect = connect
    this.#until = until
  }

  run(options: AcquireOptions | undefined = acquireOptionsIn(this.query)): void {
    this.#connect(options, (error, client) => {
      if (error || !client) return this.done(error && failureOf(this, error))
      tieToConnection(client)
      runStatement(this, client, client, false)
    })
  }

  release(client: LeasedClient): void {
    client.release()
  }

  reacquire(): boolean {
    const left = this.#until - systemClock.now()
    if (left <= 0) return false
    const connectionTimeoutMillis = left === Number.POSITIVE_INFINITY ? 0 : left
    this.run({ ...acquireOptionsIn(this.query), connectionTimeoutMillis })
    return true
  }
}

/** Whether the server has said so last. The client of an overridden `connect` may not know. */
function isInTransaction(client: Partial<LeasedClient>): boolean {
  return client.getTransactionStatus?.() === 'T'
}

/** Merges the options of a call over those of the current scope. */
export function acquireOptionsFor(given: AcquireOptions | undefined): PoolOptionsScope | undefined {
  const begunIn = endedAttempt()
  const scoped = begunIn ? { ...currentScope(), begunIn } : currentScope()
  if (!given) return scoped
  checkAcquireOptions('connect', given)
  return scoped ? { ...scoped, ...withoutUndefined(given) } : given
}

/** The options in a query config that concern how its connection is acquired. */
export function acquireOptionsIn(query: unknown): AcquireOptions | undefined {
  const signal = typeof query === 'object' && query !== null ? (query as AcquireOptions).signal : undefined
  return signal && { signal }
}
