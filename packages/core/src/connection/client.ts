import { Client, type ClientConfig, type PoolClient, type QueryResult, Result, types } from 'pg'
import { OptionsError, ReleaseError, TransactionRolledBackError } from '../errors.ts'
import { asksForCommit, onlyRollsBack } from '../policy/loss.ts'
import { kindOf, type StatementKind, takesEffectLate } from '../policy/statement-kind.ts'
import { abortReason } from '../runtime/abort-reason.ts'
import type { Cancel } from '../runtime/clock.ts'
import { currentScope, inThisContext, type Scope } from '../runtime/scope.ts'
import { type DriverQuery, internalsOf } from './driver.ts'
import type { Gate } from './gate.ts'
import type { Identification } from './identification.ts'
import type { Lease } from './lease.ts'
import { inOneWrite, whenSent } from './presend.ts'
import { rethrowFromCaller } from './stack.ts'
import type { Statement } from './statements.ts'
import { accompany, type Submittable } from './submittable.ts'

/** What a leased client asks its connection. */
export interface ClientOwner {
  /** The present lease, or the last. */
  readonly lease: Lease
  /** Whether the connection was lost. */
  readonly isLost: boolean
  /** Whether it is leased: what runs outside, hooks and resets, has nothing to do with whoever set it off. */
  readonly isInUse: boolean
  /** Why a call on the client is refused now; undefined when it isn't. */
  refusal(text?: string): Error | undefined
  /** Whether ROLLBACK is true already: the connection was lost, and nothing of its work was written. */
  readonly isRolledBack: boolean
  /** What the server has refused since it last did what it was told. */
  readonly firstFailure: Error | undefined
  begin(text: string | undefined): Statement
  /** It was answered, or failed of this error. */
  end(statement: Statement, error?: Error): void
  /** What to tell about a statement that ended with this error. */
  explain(error: Error, statement: Statement): Error
  /** Gives a statement `timeoutMillis`, or the pool's `query_timeout`, to end; a COMMIT `commitTimeoutMillis`, too. */
  limit(timeoutMillis: number | undefined, isCommit?: boolean): Cancel | undefined
  /** Before the driver's line of statements. */
  readonly gate: Gate
  /** What knows of the open transaction; undefined where nobody wants to. */
  readonly identification: Identification | undefined
  /** Finds out whether a lost COMMIT was carried out; undefined if it wasn't lost, or nobody wants to know. */
  outcomeOf(commit: Statement): Promise<boolean> | undefined
  /** Has the server cancel a statement, or takes it back if it hasn't been sent. */
  abort(statement: Statement, reason: Error): void
  /** The holder ended the client by himself. */
  endedByHolder(): void
}

/** What the caller holds: the physical `pg.Client`, with a `release` that is renewed at each lease. */
export interface LeasedClient extends PoolClient, AsyncDisposable, Disposable {
  /** Lets its socket keep the process alive; missing in @types/pg. */
  ref(): void
  /** Lets the process end although its socket is open; missing in @types/pg. */
  unref(): void
}

/** Makes clients that belong to a connection. */
export type LeasedClientClass = new (config: ClientConfig, owner: ClientOwner) => LeasedClient

type Callback = (error: Error | null, result?: QueryResult) => void

type Send = (config: string | QueryConfig, values: unknown[] | undefined, done: Callback) => void

interface QueryConfig {
  readonly text?: string
  readonly name?: string
  readonly values?: readonly unknown[]
  readonly rows?: number
  readonly query_timeout?: number
  readonly signal?: AbortSignal
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
      // What the callback asks for is asked in the scope in which this was.
      if (callback)
        return this.#run(first, values, currentScope() ? inThisContext(callback) : callback, this.#sendWithCallback)
      const send = base.prototype.query === Client.prototype.query ? this.#sendWithCallback : this.#sendForPromise
      return new Promise((resolve, reject) => {
        this.#run(first, values, (error, result) => (error ? reject(error) : resolve(result)), send)
      }).catch(rethrowFromCaller)
    }

    // biome-ignore lint/suspicious/noExplicitAny: as above.
    override end(callback?: any): any {
      this.#owner.endedByHolder()
      return super.end(callback)
    }

    release(): void {
      throw new ReleaseError('This client was not handed out by connect().')
    }

    // Read when a scope is entered, so that leaving it late can't release the next lease.
    get [Symbol.dispose](): () => void {
      const { release } = this
      const { lease } = this.#owner
      const { number } = lease
      return () => {
        if (lease.isHeld(number)) release()
      }
    }

    get [Symbol.asyncDispose](): () => Promise<void> {
      const dispose = this[Symbol.dispose]
      return async () => dispose()
    }

    readonly #sendWithCallback: Send = (config, values, done) =>
      super.query(config as string, values as unknown[], done)

    /** A `query` of the user's own may know no callbacks. */
    readonly #sendForPromise: Send = (config, values, done) => {
      Promise.resolve(super.query(config as string, values as unknown[])).then((result) => done(null, result), done)
    }

    #run(config: string | QueryConfig, values: unknown[] | undefined, callback: Callback, send: Send): void {
      const owner = this.#owner
      const isText = typeof config === 'string'
      const text = isText ? config : config.text
      const timeout = isText ? undefined : config.query_timeout
      const scope = owner.isInUse ? currentScope() : undefined
      const given = (isText ? undefined : config.signal) ?? scope?.signal
      const refusal = owner.refusal(text) ?? strangersRefusal(scope, owner.lease) ?? reasonToRefuse(given, text)
      if (refusal) {
        process.nextTick(conclude, callback, refusal, owner.isRolledBack && onlyRollsBack(text))
        return
      }
      const statement = owner.begin(text)
      const kind = !isText && config.rows ? 'opaque' : kindOf(text, hasValues(values, config))
      // Given up before it is sent, or not at all: nobody would know what became of the work.
      const signal = kind === 'commit' || kind === 'rollback' ? undefined : given
      const cancelLimit = owner.limit(timeout || this.#queryTimeout, kind === 'commit')
      let isTold = false
      const tell: Callback = (error, result) => {
        if (isTold) return
        isTold = true
        forgetSignal?.()
        callback(error, result)
      }
      const forgetSignal = signal && this.#whenAborted(signal, statement, tell)
      let isOver = false
      const end = (error?: Error): void => {
        isOver = true
        cancelLimit?.()
        owner.end(statement, error)
      }
      try {
        const query = isText ? config : copyOf(config)
        const answered: Callback = (error, result) => {
          if (isOver) return // The driver calls twice for values that it can't put into words.
          const failure = owner.firstFailure
          end(error ?? undefined)
          if (owner.lease.attempt && hasCommitted(result)) owner.lease.attempt.noteCommit(owner.lease)
          if (kind === 'work' && ENDS.has(result?.command ?? '')) owner.identification?.loseTrack()
          const outcome = error && kind === 'commit' ? owner.outcomeOf(statement) : undefined
          if (outcome)
            void outcome.then((isCommitted) => {
              if (isCommitted) tell(null, doneBy('COMMIT'))
              else tell(owner.explain(error as Error, statement))
            })
          else if (error) conclude(tell, owner.explain(error, statement), owner.isRolledBack && onlyRollsBack(text))
          else if (result?.command === 'ROLLBACK' && asksForCommit(text)) tell(new TransactionRolledBackError(failure))
          else tell(null, result)
        }
        // A statement by itself, on a connection that waits for nothing: most are.
        if (kind === 'work' && owner.gate.isIdle && (owner.identification?.isOutside ?? true))
          send(query, values, answered)
        else this.#give(statement, kind, () => send(query, values, answered))
      } catch (error) {
        forgetSignal?.()
        end(error as Error)
        throw error
      }
    }

    /** Gives a statement to the driver, together with what must be known of its transaction. */
    #give(statement: Statement, kind: StatementKind, send: () => void): void {
      const { identification } = this.#owner
      const isEarly = identification?.prepare(kind) === 'early'
      const { _queryQueue: queue } = internalsOf(this)
      const before = queue.length
      const give = (): void => {
        send()
        if (queue.length === before) {
          // Whoever has put himself around `query` may not have given it to the driver yet.
          const isSent = internalsOf(this).readyForQuery === false
          return identification?.sent(isSent ? kind : 'opaque')
        }
        const query = queue.at(-1) as DriverQuery
        statement.queued = query
        statement.sent = false
        whenSent(query, (submit) => {
          statement.queued = undefined
          statement.sent = true
          const problem = submit()
          if (!problem) identification?.sent(kind)
          return problem
        })
        if (isEarly) this.#owner.gate.sendEarly(query)
      }
      if (isEarly || identification?.willRide(kind)) inOneWrite(this, give)
      else give()
    }

    /** Has the server stop, and tells the caller at once, when he gives up; what comes afterwards is nobody's concern. */
    #whenAborted(signal: AbortSignal, statement: Statement, tell: (reason: Error) => void): () => void {
      const giveUp = (): void => {
        const reason = abortReason(signal)
        this.#owner.abort(statement, reason)
        tell(reason)
      }
      signal.addEventListener('abort', giveUp, { once: true })
      return () => signal.removeEventListener('abort', giveUp)
    }

    #submit(submittable: Submittable, second: unknown, third: unknown): unknown {
      const owner = this.#owner
      const internals = internalsOf(this)
      const callback = (typeof second === 'function' ? second : third) as Callback | undefined
      if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
      const timeout = submittable.query_timeout || this.#queryTimeout
      submittable.query_timeout = 0
      const refusal = owner.refusal()
      const statement = refusal ? undefined : owner.begin(submittable.text)
      // Nothing can be sent behind it, nor told of what it did.
      if (!refusal) owner.identification?.sent(takesEffectLate(submittable.text) ? 'hidden' : 'opaque')
      accompany(submittable, callback as never, {
        connection: internals.connection,
        isReady: () => internals.readyForQuery === true,
        isOver: () => refusal !== undefined || owner.isLost,
        explain: (error) => refusal ?? (statement ? owner.explain(error, statement) : error),
        limit: () => owner.limit(timeout),
        ended: (error) => statement && owner.end(statement, error),
      })
      if (!refusal) return super.query(submittable as never)
      process.nextTick(() => submittable.handleError(refusal, internals.connection))
      return submittable
    }
  } as unknown as LeasedClientClass
}

/**
 * What the driver gets: without the timeout, which is ours, and with the object's own class, whose getters may be the
 * text. A copy, since older drivers (before 8.23.1) leave our callback in it, where the caller's next call would find it.
 */
function copyOf(config: QueryConfig): QueryConfig {
  const copy = Object.assign(Object.create(Object.getPrototypeOf(config)), config)
  if (config.query_timeout) copy.query_timeout = 0
  return copy
}

/** A statement whose caller has given up isn't sent; but whoever gave up may always roll back. */
function reasonToRefuse(signal: AbortSignal | undefined, text: string | undefined): Error | undefined {
  if (signal !== undefined && typeof signal?.addEventListener !== 'function')
    return new OptionsError(['`signal` must be an AbortSignal (of an AbortController it is `.signal`).'])
  return signal?.aborted && !onlyRollsBack(text) ? abortReason(signal) : undefined
}

/** Tags by which the server tells that it has ended a transaction, or begun one. */
const ENDS: ReadonlySet<string> = new Set(['BEGIN', 'START TRANSACTION', 'COMMIT', 'ROLLBACK', 'PREPARE TRANSACTION'])

/** An answer that the server did not live to give. */
function doneBy(command: 'COMMIT' | 'ROLLBACK'): QueryResult {
  return Object.assign(new Result('', types), { command }) as unknown as QueryResult
}

/** With parameters the protocol allows but one statement; as without rows to be read in portions it is sent whole. */
function hasValues(values: unknown[] | undefined, config: string | QueryConfig): boolean {
  if (typeof config === 'string') return (values?.length ?? 0) > 0
  return (values ?? config.values ?? []).length > 0 || config.name !== undefined
}

/** Work that runs on when its attempt has ended must not meet the session of whoever leases this connection now. */
function strangersRefusal(scope: Scope | undefined, lease: Lease): Error | undefined {
  if (!scope?.attempt?.isStrangerTo(lease)) return undefined
  return new ReleaseError('The transaction of this client has ended: it may not be used any more.')
}

/** Whether the server says that it committed; of several statements in one text, any of them. */
function hasCommitted(result: QueryResult | readonly QueryResult[] | undefined): boolean {
  if (Array.isArray(result)) return result.some(hasCommitted)
  return (result as QueryResult | undefined)?.command === 'COMMIT'
}

/** A connection lost before COMMIT has rolled back: that ROLLBACK is true, and must not hide what the caller died of. */
function conclude(callback: Callback, error: Error, isDoneAnyway: boolean): void {
  if (isDoneAnyway) callback(null, doneBy('ROLLBACK'))
  else callback(error)
}
