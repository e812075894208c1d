import type { QueryResult } from 'pg'
import type { Connection } from './connection/connection.ts'
import type { LeasedClient } from './connection/physical-client.ts'
import { failure } from './connection/stack.ts'
import type { Engine } from './engine/engine.ts'
import type { Waiter } from './engine/waiter-list.ts'
import { neverRan } from './errors.ts'
import { type AcquireOptions, checkAcquireOptions } from './options/acquire-options.ts'
import { withoutUndefined } from './options/check.ts'
import { systemClock } from './runtime/clock.ts'
import { markForAnyContext } from './runtime/context.ts'
import { currentScope, endedAttempt, type PoolOptionsScope } from './runtime/pool-options-scope.ts'
import { toError } from './thrown.ts'

/** What `connect(callback)` calls: pg's three arguments. */
export type ConnectCallback = (
  error: Error | undefined,
  client: LeasedClient | undefined,
  release: (discard?: Error | boolean) => void,
) => void

/** What a caller of `query()` is told. */
export type ResultCallback = (error: Error | null | undefined, result?: QueryResult) => void

/** One call of `connect()` that has to wait, and is answered by a promise. */
export class ConnectCall implements Waiter {
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

/** One call of `connect(callback)`. */
export class CallbackCall implements Waiter {
  readonly options: PoolOptionsScope | undefined
  readonly stack: string | undefined
  readonly #callback: ConnectCallback

  constructor(callback: ConnectCallback, options: PoolOptionsScope | undefined, stack: string | undefined) {
    this.#callback = callback
    this.options = options
    this.stack = stack
  }

  // Not before connect() has returned: callers rely on it.
  leased(connection: Connection): void {
    const client = connection.clientForLease()
    process.nextTick(this.#callback, undefined, client, client.release)
  }

  failed(error: Error): void {
    process.nextTick(this.#callback, error, undefined, () => {})
  }
}

/** Where the connection of a `query()` comes from, and goes back to. */
export type QueryPool = Pick<Engine, 'reacquire' | 'release' | 'runsUserCodeOnRelease' | 'publisher'>

/** One call of `query()`: the lease lasts as long as the statement. */
export class QueryCall implements Waiter {
  readonly options: PoolOptionsScope | undefined
  readonly stack: string | undefined
  readonly #query: unknown
  readonly #values: unknown[] | undefined
  readonly #done: ResultCallback
  readonly #isPromise: boolean
  readonly #pool: QueryPool
  #failed: { readonly attempt: number; readonly error: Error; readonly at: number } | undefined

  /** `isPromise` says that `done` only settles one. */
  constructor(
    query: unknown,
    values: unknown[] | undefined,
    done: ResultCallback,
    isPromise: boolean,
    pool: QueryPool,
    options: PoolOptionsScope | undefined,
    stack: string | undefined,
  ) {
    this.#query = query
    this.#values = values
    this.#done = done
    this.#isPromise = isPromise
    this.#pool = pool
    this.options = options
    this.stack = stack
  }

  leased(connection: Connection): void {
    this.#tellRunsAgain()
    const wasInside = isInTransaction(connection.client)
    const answered = (error: Error | null, result: QueryResult): void => {
      if (!wasInside && isInTransaction(connection.client)) tellLeftOpen(this.#pool)
      this.#pool.release(connection)
      if (error && this.#runsAgain(connection, error)) return
      this.#done(error ?? undefined, result)
    }
    // A statement that runs again does so in the context of its answer.
    const isAnyContextFine = this.#isPromise && !this.options && !this.#pool.runsUserCodeOnRelease(this)
    if (isAnyContextFine) markForAnyContext(answered)
    try {
      connection.client.query(this.#query as string, this.#values as unknown[], answered)
    } catch (error) {
      // Refused before anything was sent: not a query at all.
      this.#pool.release(connection)
      process.nextTick(this.#done, error || toError(error))
    }
  }

  /** Whether it is certain that the statement never ran, and it runs again within its deadline. */
  #runsAgain(connection: Connection, error: Error): boolean {
    if (!neverRan(error) || isSubmittable(this.#query)) return false
    this.#failed = { attempt: (this.#failed?.attempt ?? 0) + 1, error, at: systemClock.now() }
    return this.#pool.reacquire(this, connection.lease.askedAt)
  }

  #tellRunsAgain(): void {
    if (!this.#failed) return
    const { attempt, error, at } = this.#failed
    const pausedMillis = systemClock.now() - at
    const facts = { reason: 'never-ran', attempt: attempt + 1, error, pausedMillis } as const
    this.#pool.publisher.publish({ type: 'statement-retried', ...facts })
  }

  failed(error: Error): void {
    // A callback that throws must not end the round in which the others are told.
    process.nextTick(this.#done, error)
  }
}

/** Calls `connect()` with these wishes. */
type Connect = (wishes: AcquireOptions | undefined, callback: ConnectCallback) => void

/** Runs one statement through a `connect()` of the user's, and again, until then, if it certainly never ran. */
export function runThrough(
  connect: Connect,
  query: unknown,
  values: unknown[] | undefined,
  done: ResultCallback,
  until: number,
  pool: Pick<QueryPool, 'publisher'>,
  asked: AcquireOptions | undefined = acquireOptionsIn(query),
): void {
  const answered: ResultCallback = (error, result) => {
    const left = until - systemClock.now()
    if (!error || !neverRan(error) || left <= 0 || isSubmittable(query)) return done(error, result)
    const connectionTimeoutMillis = left === Number.POSITIVE_INFINITY ? 0 : left
    runThrough(connect, query, values, done, until, pool, { ...acquireOptionsIn(query), connectionTimeoutMillis })
  }
  connect(asked, (error, client) => {
    if (error || !client) done(error)
    else runOn(client, query, values, answered, pool)
  })
}

/** Runs one statement on a client of `connect()`, and gives it back before the caller is told. */
function runOn(
  client: LeasedClient,
  query: unknown,
  values: unknown[] | undefined,
  done: ResultCallback,
  pool: Pick<QueryPool, 'publisher'>,
): void {
  const wasInside = isInTransaction(client)
  try {
    client.query(query as string, values as unknown[], (error: Error | null, result: QueryResult) => {
      if (!wasInside && isInTransaction(client)) tellLeftOpen(pool)
      client.release()
      done(error ?? undefined, result)
    })
  } catch (error) {
    client.release()
    process.nextTick(done, error || toError(error))
  }
}

/** A statement by itself has begun a transaction, which ends as its connection comes back. */
function tellLeftOpen({ publisher }: Pick<QueryPool, 'publisher'>): void {
  publisher.publish({ type: 'transaction-left-open' })
}

/** Whether the server said so last; what an overridden `connect` hands out may not know. */
function isInTransaction(client: Partial<LeasedClient>): boolean {
  return client.getTransactionStatus?.() === 'T'
}

/** A cursor or a stream has been used by then: it can't be sent to another connection. */
function isSubmittable(query: unknown): boolean {
  return typeof (query as { submit?: unknown } | null)?.submit === 'function'
}

/** What the caller wishes, over what holds where he calls. */
export function acquireOptionsFor(given: AcquireOptions | undefined): PoolOptionsScope | undefined {
  const begunIn = endedAttempt()
  const scoped = begunIn ? { ...currentScope(), begunIn } : currentScope()
  if (!given) return scoped
  checkAcquireOptions('connect', given)
  return scoped ? { ...scoped, ...withoutUndefined(given) } : given
}

/** What a config says of how its connection is acquired. */
export function acquireOptionsIn(query: unknown): AcquireOptions | undefined {
  const signal = typeof query === 'object' && query !== null ? (query as AcquireOptions).signal : undefined
  return signal && { signal }
}
