import type { AsyncResource } from 'node:async_hooks'
import type { QueryResult } from 'pg'
import type { LeasedClient } from './connection/client.ts'
import type { Connection } from './connection/connection.ts'
import { failure } from './connection/stack.ts'
import type { Caller } from './engine/caller.ts'
import { type AcquireOptions, checkAcquireOptions } from './options/acquire-options.ts'
import { withoutUndefined } from './options/check.ts'
import { currentScope, endedAttempt, inThisContext, type Scope, thisContext } from './runtime/scope.ts'

/** What `connect(callback)` calls: pg's three arguments. */
export type ConnectCallback = (
  error: Error | undefined,
  client: LeasedClient | undefined,
  release: (discard?: Error | boolean) => void,
) => void

/** What a caller of `query()` is told. */
export type ResultCallback = (error: Error | null | undefined, result?: QueryResult) => void

/** One call of `connect()` that has to wait, and is answered by a promise. */
export class ConnectCall implements Caller {
  readonly options: Scope | undefined
  readonly stack: string | undefined
  readonly #resolve: (client: LeasedClient | Promise<never>) => void

  constructor(
    resolve: (client: LeasedClient | Promise<never>) => void,
    options: Scope | undefined,
    stack: string | undefined,
  ) {
    this.#resolve = resolve
    this.options = options
    this.stack = stack
  }

  leased(connection: Connection): void {
    this.#resolve(connection.handOver())
  }

  failed(error: Error): void {
    this.#resolve(failure(error))
  }
}

/** One call of `connect(callback)`. */
export class CallbackCall implements Caller {
  readonly options: Scope | undefined
  readonly stack: string | undefined
  readonly #callback: ConnectCallback

  constructor(callback: ConnectCallback, options: Scope | undefined, stack: string | undefined) {
    this.#callback = inThisContext(callback)
    this.options = options
    this.stack = stack
  }

  // Not before connect() has returned: callers rely on it.
  leased(connection: Connection): void {
    const client = connection.handOver()
    process.nextTick(this.#callback, undefined, client, client.release)
  }

  failed(error: Error): void {
    process.nextTick(this.#callback, error, undefined, () => {})
  }
}

/** One call of `query()`: the lease lasts as long as the statement. */
export class QueryCall implements Caller {
  readonly options: Scope | undefined
  readonly stack: string | undefined
  readonly #query: unknown
  readonly #values: unknown[] | undefined
  readonly #done: ResultCallback
  readonly #takeBack: (connection: Connection) => void
  #hasRun = false
  #context: AsyncResource | undefined

  constructor(
    query: unknown,
    values: unknown[] | undefined,
    done: ResultCallback,
    takeBack: (connection: Connection) => void,
    options: Scope | undefined,
    stack: string | undefined,
  ) {
    this.#query = query
    this.#values = values
    this.#done = done
    this.#takeBack = takeBack
    this.options = options
    this.stack = stack
  }

  /** Will be served in somebody else's time, and shall run in its own context all the same. */
  keepContext(): void {
    if (!this.#hasRun) this.#context = thisContext()
  }

  leased(connection: Connection): void {
    this.#hasRun = true
    if (this.#context) this.#context.runInAsyncScope(this.#start, this, connection)
    else this.#start(connection)
  }

  failed(error: Error): void {
    this.#hasRun = true
    // A callback that throws must not end the round in which the others are told.
    process.nextTick(this.#done, error)
  }

  #start(connection: Connection): void {
    runOn(connection.client, this.#query, this.#values, () => this.#takeBack(connection), this.#done)
  }
}

/** Runs one statement, and gives the client back before the caller is told. */
export function runOn(
  client: LeasedClient,
  query: unknown,
  values: unknown[] | undefined,
  giveBack: () => void,
  done: ResultCallback,
): void {
  try {
    client.query(query as string, values as unknown[], (error: Error | null, result: QueryResult) => {
      giveBack()
      done(error ?? undefined, result)
    })
  } catch (error) {
    // Refused before anything was sent: not a query at all.
    giveBack()
    process.nextTick(done, error)
  }
}

/** What the caller wishes, over what holds where he calls. */
export function wishes(given: AcquireOptions | undefined): Scope | undefined {
  const begunIn = endedAttempt()
  const scoped = begunIn ? { ...currentScope(), begunIn } : currentScope()
  if (!given) return scoped
  checkAcquireOptions('connect', given)
  return scoped ? { ...scoped, ...withoutUndefined(given) } : given
}

/** What a config says of how its connection is acquired. */
export function wishesIn(query: unknown): AcquireOptions | undefined {
  const signal = typeof query === 'object' && query !== null ? (query as AcquireOptions).signal : undefined
  return signal && { signal }
}
