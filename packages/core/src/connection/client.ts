import { Client, type ClientConfig, type PoolClient, Query, type QueryResult, Result, types } from 'pg'
import { OptionsError, ReleaseError } from '../errors.ts'
import { onlyRollsBack } from '../policy/loss.ts'
import type { Cancel } from '../runtime/clock.ts'
import { internalsOf } from './driver.ts'
import type { Statement } from './statements.ts'

/** What a leased client asks its connection. */
export interface ClientOwner {
  /** Why calls on the client are refused now; undefined when they aren't. */
  refusal(): Error | undefined
  /** Whether ROLLBACK is true already: the connection was lost, and nothing of its work was written. */
  readonly isRolledBack: boolean
  begin(text: string | undefined): Statement
  end(statement: Statement, how: 'answered' | 'failed'): void
  /** What to tell about a statement that ended with this error. */
  explain(error: Error, statement: Statement): Error
  /** Gives a statement `timeoutMillis`, or the pool's `query_timeout`, to end. */
  limit(timeoutMillis: number | undefined): Cancel | undefined
  /** The borrower ended the client by himself. */
  endedByBorrower(): void
}

/** What the borrower holds: the physical `pg.Client`, with a `release` that is renewed at each lease. */
export interface LeasedClient extends PoolClient, AsyncDisposable, Disposable {
  /** Lets its socket keep the process alive; missing in @types/pg. */
  ref(): void
  /** Lets the process end although its socket is open; missing in @types/pg. */
  unref(): void
}

/** Makes clients that belong to a connection. */
export type LeasedClientClass = new (config: ClientConfig, owner: ClientOwner) => LeasedClient

type Callback = (error: Error | null, result?: QueryResult) => void

interface Submittable {
  submit: unknown
  text?: string
  query_timeout?: number
  handleError(error: Error, connection: unknown): void
  handleReadyForQuery(connection: unknown): void
}

interface QueryConfig {
  readonly text?: string
  readonly query_timeout?: number
  readonly callback?: Callback
}

/**
 * Derives the class of leased clients from the driver's (or the user's) client class. Its name must not contain
 * "Pool": Drizzle takes such a client for a pool, and runs one transaction on several.
 *
 * @throws {OptionsError} for pg-native, whose socket can't be watched.
 */
export function leasedClientClass(base: typeof Client = Client): LeasedClientClass {
  if (typeof base !== 'function' || 'isConnected' in base.prototype)
    throw new OptionsError([
      '`Client` must be the JavaScript client of pg: pg-native has no socket that could be watched.',
    ])

  return class LeasedClient extends base implements AsyncDisposable {
    static {
      Object.defineProperty(LeasedClient, 'name', { value: 'LeasedClient' })
    }
    readonly #owner: ClientOwner
    /** From the connection string, or pg's defaults. */
    readonly #queryTimeout: number | undefined

    constructor(config: ClientConfig, owner: ClientOwner) {
      super(config)
      this.#owner = owner
      // The driver's own timer leaves the connection half-open, and believes a blocked event loop. `limit` replaces it.
      const parameters = internalsOf(this).connectionParameters
      this.#queryTimeout = Number(parameters.query_timeout) || undefined
      parameters.query_timeout = 0
    }

    // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client, see LeasedClient.
    override query(first: any, second?: any, third?: any): any {
      if (first === null || first === undefined) return super.query(first) // Throws the driver's own TypeError.
      if (typeof first.submit === 'function') return this.#submit(first, second, third)
      const values = typeof second === 'function' ? undefined : second
      const callback: Callback | undefined = typeof second === 'function' ? second : (third ?? first.callback)
      if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
      if (callback) return this.#run(first, values, callback)
      return new Promise((resolve, reject) => {
        this.#run(first, values, (error, result) => (error ? reject(error) : resolve(result)))
      }).catch(rethrowFromCaller)
    }

    // biome-ignore lint/suspicious/noExplicitAny: as above.
    override end(callback?: any): any {
      this.#owner.endedByBorrower()
      return super.end(callback)
    }

    release(): void {
      throw new ReleaseError('This client was not handed out by connect().')
    }

    async [Symbol.asyncDispose](): Promise<void> {}
    [Symbol.dispose](): void {}

    #run(config: string | QueryConfig, values: unknown[] | undefined, callback: Callback): void {
      const owner = this.#owner
      const text = typeof config === 'string' ? config : config.text
      const refusal = owner.refusal()
      if (refusal) {
        process.nextTick(conclude, callback, refusal, owner.isRolledBack && onlyRollsBack(text))
        return
      }
      const statement = owner.begin(text)
      const timeout = typeof config === 'string' ? undefined : config.query_timeout
      const cancelLimit = owner.limit(timeout || this.#queryTimeout)
      const ended = (how: 'answered' | 'failed'): void => {
        cancelLimit?.()
        owner.end(statement, how)
      }
      try {
        super.query(
          (timeout ? { ...(config as QueryConfig), query_timeout: 0 } : config) as string,
          values as unknown[],
          (error: Error | null, result: QueryResult) => {
            ended(error ? 'failed' : 'answered')
            if (error) conclude(callback, owner.explain(error, statement), owner.isRolledBack && onlyRollsBack(text))
            else callback(null, result)
          },
        )
      } catch (error) {
        ended('failed')
        throw error
      }
    }

    #submit(submittable: Submittable, second: unknown, third: unknown): unknown {
      const owner = this.#owner
      const { connection } = internalsOf(this)
      const refusal = owner.refusal()
      if (refusal) {
        process.nextTick(() => submittable.handleError(refusal, connection))
        return submittable
      }
      const statement = owner.begin(submittable.text)
      // A cursor lives as long as its borrower likes; a Query is a statement like any other.
      const timeout = submittable.query_timeout || this.#queryTimeout
      const cancelLimit = submittable instanceof Query ? owner.limit(timeout) : undefined
      const { handleError, handleReadyForQuery } = submittable
      submittable.query_timeout = 0
      submittable.handleError = (error, ...rest) => {
        cancelLimit?.()
        owner.end(statement, 'failed')
        handleError.call(submittable, owner.explain(error, statement), ...rest)
      }
      submittable.handleReadyForQuery = (...args) => {
        cancelLimit?.()
        owner.end(statement, 'answered')
        handleReadyForQuery.apply(submittable, args)
      }
      return super.query(submittable as never, second as never, third as never)
    }
  } as unknown as LeasedClientClass
}

/**
 * Renews what gives the client back. Each lease has closures of its own: `await using` reads the method when it is
 * declared, so that leaving a scope late can't release the next borrower's lease.
 */
export function grantRelease(client: LeasedClient, giveBack: (discard?: Error | boolean) => void): void {
  let leased = true
  client.release = (discard) => {
    if (!leased) throw new ReleaseError('Release called on client which has already been released to the pool.')
    leased = false
    giveBack(discard)
  }
  const dispose = (): void => {
    if (leased) client.release()
  }
  client[Symbol.dispose] = dispose
  client[Symbol.asyncDispose] = async () => dispose()
}

/** A connection lost before COMMIT has rolled back: that ROLLBACK is true, and must not hide what the caller died of. */
function conclude(callback: Callback, error: Error, isDoneAnyway: boolean): void {
  if (isDoneAnyway) callback(null, Object.assign(new Result('', types), { command: 'ROLLBACK' }))
  else callback(error)
}

/** Shows where the statement was called, not where its answer was read: the driver does the same. */
export function rethrowFromCaller(error: Error): never {
  Error.captureStackTrace(error)
  throw error
}
