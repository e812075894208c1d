import type { QueryResult } from 'pg'
import type { LeasedClient } from './connection/client.ts'
import type { Connection } from './connection/connection.ts'
import type { LeaseTerms } from './connection/lease.ts'
import { failure } from './connection/stack.ts'
import type { Caller } from './engine/caller.ts'
import { type AcquireOptions, checkAcquireOptions } from './options/acquire-options.ts'
import { withoutUndefined } from './options/check.ts'
import { markForAnyContext } from './runtime/context.ts'
import { currentScope, endedAttempt, type Scope } from './runtime/scope.ts'
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
    this.#callback = callback
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

/** Where the connection of a `query()` goes back to. */
export interface Returning {
  takeBack(connection: Connection): void
  /** Whether code of the user's runs at its return. */
  isReturnHeard(terms: LeaseTerms): boolean
}

/** One call of `query()`: the lease lasts as long as the statement. */
export class QueryCall implements Caller {
  readonly options: Scope | undefined
  readonly stack: string | undefined
  readonly #query: unknown
  readonly #values: unknown[] | undefined
  readonly #done: ResultCallback
  readonly #isPromise: boolean
  readonly #pool: Returning

  /** `isPromise` says that `done` only settles one. */
  constructor(
    query: unknown,
    values: unknown[] | undefined,
    done: ResultCallback,
    isPromise: boolean,
    pool: Returning,
    options: Scope | undefined,
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
    const giveBack = (): void => this.#pool.takeBack(connection)
    const isAnyContextFine = this.#isPromise && !this.#pool.isReturnHeard(this)
    runOn(connection.client, this.#query, this.#values, giveBack, this.#done, isAnyContextFine)
  }

  failed(error: Error): void {
    // A callback that throws must not end the round in which the others are told.
    process.nextTick(this.#done, error)
  }
}

/** Runs one statement, and gives the client back before the caller is told. */
export function runOn(
  client: LeasedClient,
  query: unknown,
  values: unknown[] | undefined,
  giveBack: () => void,
  done: ResultCallback,
  isAnyContextFine: boolean,
): void {
  const answered = (error: Error | null, result: QueryResult): void => {
    giveBack()
    done(error ?? undefined, result)
  }
  if (isAnyContextFine) markForAnyContext(answered)
  try {
    client.query(query as string, values as unknown[], answered)
  } catch (error) {
    // Refused before anything was sent: not a query at all.
    giveBack()
    process.nextTick(done, error || toError(error))
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
