import type { QueryResult } from 'pg'
import type { Connection } from './connection/connection.ts'
import type { LeasedClient } from './connection/physical-client.ts'
import type { Engine } from './engine/engine.ts'
import type { Waiter } from './engine/waiter-list.ts'
import { Follower, isSharable, isStale } from './multiplex/follower.ts'
import type { SharedText } from './multiplex/shared-texts.ts'
import type { SharedStatement } from './multiplex/sharers.ts'
import { type AcquireOptions, checkAcquireOptions } from './options/call-options.ts'
import { withoutUndefined } from './options/check.ts'
import { type Call, STALLED } from './rerun/read-again.ts'
import { type RerunSource, Reruns } from './rerun/reruns.ts'
import { markForAnyContext } from './runtime/context.ts'
import { currentScope, endedAttempt, type PoolOptionsScope } from './runtime/pool-options-scope.ts'
import { failure } from './runtime/stack.ts'
import { messageOf, toError } from './thrown.ts'

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

/** Calls the callback of `connect(callback)` with what this promise resolves to. */
export function giveTo(callback: ConnectCallback, client: Promise<LeasedClient>): undefined {
  client.then(
    (given) => process.nextTick(callback, undefined, given, given.release),
    (error) => process.nextTick(callback, error, undefined, () => {}),
  )
}

/** What a statement of `pool.query` needs from the engine. */
export type QueryEngine = Pick<Engine, 'reacquire' | 'release' | 'runsUserCodeOnRelease' | 'publisher' | 'reads'>

/** A statement of `pool.query`, and what differs by where its client comes from. */
export interface PoolStatement<Lease> extends Call {
  readonly options?: PoolOptionsScope | undefined
  readonly source: RerunSource
  /** Undefined as long as it hasn't failed. */
  reruns: Reruns | undefined
  /** Whether others shared its connection when it ended. */
  wasFollowed: boolean
  tell(error: Error | undefined, result?: QueryResult): void
  /** Whether it has failed with this error because it made way for others, so that it wrote nothing. */
  hasMadeWay(lease: Lease, error: Error): boolean
  release(lease: Lease): void
  /** Gets another client to run it again. Returns why it can't; undefined if it does. */
  reacquire(lease: Lease): string | undefined
}

/** Runs a statement on a client, and releases that before the caller is told, or before the statement runs again. */
export function runStatement<Lease>(
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
    const hasMadeWay = error !== null && statement.hasMadeWay(lease, error)
    statement.release(lease)
    if (error && runsAgain(statement, lease, error, hasMadeWay)) return
    statement.tell(error ?? undefined, result)
  }
  if (mayAnswerInAnyContext) markForAnyContext(answered)
  try {
    if (statement.reruns) statement.reruns.run(client, answered)
    else client.query(statement.query as string, statement.values as unknown[], answered)
  } catch (error) {
    // Nothing was sent, because this is no query.
    statement.release(lease)
    process.nextTick(() => statement.tell((error as Error) || toError(error)))
  }
}

function runsAgain<Lease>(statement: PoolStatement<Lease>, lease: Lease, error: Error, hasMadeWay: boolean): boolean {
  const mayBeStale = statement.wasFollowed && isStale(error)
  statement.wasFollowed = false
  statement.reruns ??= new Reruns(statement, statement.source)
  if (hasMadeWay) statement.reruns.runAlone('gave-way', error)
  else if (mayBeStale) statement.reruns.runAlone('stale-session', error)
  else if (!statement.reruns.afterError(error)) return false
  const whyNot = statement.reacquire(lease)
  if (whyNot === undefined) return true
  statement.reruns.refuse(error, whyNot)
  return false
}

/** What the caller of a statement is told when there is no connection for it, or none for its next run. */
export function failureOf<Lease>({ options, query, reruns }: PoolStatement<Lease>, reason: Error): Error {
  const isGivenUp = (options ?? acquireOptionsIn(query))?.signal?.aborted === true
  return isGivenUp ? reason : (reruns?.errorWithout(reason) ?? reason)
}

/**
 * Waits for a connection on behalf of `query()`. The lease lasts as long as the statement. A plain read may follow others on a
 * connection that is in use; then it may run on another one as well, if those take long, and the first answer counts. So may a
 * write, by `pipelineWrites`; those that take long then make way for it.
 */
export class QueryWaiter implements Waiter, PoolStatement<Connection>, SharedStatement {
  readonly query: unknown
  readonly values: unknown[] | undefined
  readonly options: PoolOptionsScope | undefined
  readonly stack: string | undefined
  reruns: Reruns | undefined = undefined
  known: SharedText | undefined = undefined
  wasFollowed = false
  wasBehindLost = false
  readonly #done: ResultCallback
  readonly #isPromise: boolean
  readonly #engine: QueryEngine
  #isTold = false
  /** Its run behind others. */
  #follower: Follower | undefined = undefined

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
    this.options = options
    this.stack = stack
    this.#done = done
    this.#isPromise = isPromise
    this.#engine = engine
  }

  get source(): RerunSource {
    return this.#engine
  }

  get sharedStatement(): SharedStatement | undefined {
    return this.options || this.reruns || !isSharable(this.query) ? undefined : this
  }

  get sharedText(): string {
    return typeof this.query === 'string' ? this.query : (this.query as { readonly text: string }).text
  }

  /** A statement that runs again does so in the context in which the last one was answered. */
  get mayAnswerInAnyContext(): boolean {
    return this.#isPromise && !this.options && !this.#engine.runsUserCodeOnRelease(this)
  }

  leased(connection: Connection): void {
    if (this.#isTold || this.#follower?.isDone) return this.release(connection)
    runStatement(this, connection.client, connection, this.mayAnswerInAnyContext)
  }

  follow(connection: Connection, askedAt: number): void {
    this.#follower = new Follower(this, this.#engine, askedAt)
    this.#follower.start(connection)
  }

  runElsewhere(): void {
    if (!this.#isTold) this.#follower?.runElsewhere()
  }

  tell(error: Error | undefined, result?: QueryResult): void {
    if (this.#isTold || (error === STALLED && this.#follower?.takeOver())) return
    this.#isTold = true
    this.#done(error === STALLED ? this.#follower?.failure : error, result)
  }

  failed(error: Error): void {
    if (this.#isTold) return
    this.#isTold = true
    const lost = this.#follower?.failure
    if (lost) this.reruns?.refuse(lost, messageOf(error))
    // In the next tick: a callback that throws must not keep the other waiters from being told.
    process.nextTick(this.#done, lost ?? failureOf(this, error))
  }

  hasMadeWay(connection: Connection, error: Error): boolean {
    return connection.cancellation.hasMadeWay(error)
  }

  release(connection: Connection): void {
    this.#engine.release(connection, undefined, this)
  }

  reacquire(connection: Connection): string | undefined {
    return this.#engine.reacquire(this, this.#follower?.askedAt ?? connection.lease.askedAt)
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
