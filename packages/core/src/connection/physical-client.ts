import { errorMonitor } from 'node:events'
import { Client, type ClientConfig, type PoolClient } from 'pg'
import { checkDriver } from '../driver/check-driver.ts'
import { clarified } from '../driver/guarded-reading.ts'
import { type DriverQuery, internalsOf } from '../driver/internals.ts'
import type { Named } from '../driver/prepared-statements.ts'
import { inOneWrite, whenSent } from '../driver/presend.ts'
import { type Submittable, trackSubmittable } from '../driver/submittable.ts'
import { OptionsError, ReleaseError } from '../errors.ts'
import { abortReason } from '../runtime/abort-reason.ts'
import { inItsContext } from '../runtime/context.ts'
import { currentScope, endedAttempt } from '../runtime/pool-options-scope.ts'
import { runUserCode } from '../runtime/user-code.ts'
import { kindOf, onlyRollsBack, type StatementKind, takesEffectLate } from '../sql/statement.ts'
import { propertyOf } from '../thrown.ts'
import type { ClientOwner } from './client-owner.ts'
import { isForeign, standInClient } from './foreign-client.ts'
import type { Statement } from './in-flight.ts'
import { RELEASED } from './lease.ts'
import { sendByOwn } from './own-query.ts'
import { failure } from './stack.ts'
import { type Callback, refuse, StatementRun } from './statement-run.ts'

/** What the caller holds: the physical `pg.Client`, with a `release` that is renewed at each lease. */
export interface LeasedClient extends PoolClient, AsyncDisposable, Disposable {
  /** Lets its socket keep the process alive; missing in @types/pg. */
  ref(): void
  /** Lets the process end although its socket is open; missing in @types/pg. */
  unref(): void
  /** What the server said last: idle, in a transaction, in a failed one; null before it said anything. Missing in @types/pg. */
  getTransactionStatus(): 'I' | 'T' | 'E' | null
}

/** Makes clients that belong to a connection. */
export type PhysicalClientClass = new (config: ClientConfig, owner: ClientOwner) => LeasedClient

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

// One for all pools: V8 takes what is done to several classes for several things, and then does each of them slower.
const CLASSES = new WeakMap<typeof Client, PhysicalClientClass>()

/**
 * The class of leased clients that is derived from the driver's (or the user's) client class.
 *
 * @throws {OptionsError} for pg-native, whose socket can't be watched, and for a driver that lacks what is relied on.
 */
export function physicalClientClass(base: typeof Client = Client): PhysicalClientClass {
  if (typeof base !== 'function' || !hasSocket(base))
    throw new OptionsError([
      '`Client` must be the JavaScript client of pg: pg-native has no socket that could be watched.',
    ])
  const derived = CLASSES.get(base) ?? derive(driverClassOf(base))
  CLASSES.set(base, derived)
  return derived
}

/** Not pg-native, nor what hides its prototype. */
function hasSocket(base: typeof Client): boolean {
  const prototype = propertyOf(base, 'prototype')
  try {
    return typeof prototype === 'object' && prototype !== null && !('isConnected' in prototype)
  } catch {
    return false
  }
}

/** Of a class that is none, one that says so: not before it has said by itself why it doesn't connect. */
function driverClassOf(base: typeof Client): typeof Client {
  const driver = isForeign(base) ? standInClient(base as never) : base
  checkDriver(driver)
  return driver
}

/** Its name must not contain "Pool": Drizzle takes such a client for a pool, and runs one transaction on several. */
function derive(base: typeof Client): PhysicalClientClass {
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
      const isDrivers = base.prototype.query === Client.prototype.query
      // It is the socket that calls back, and whoever asked that is called.
      if (callback)
        return this.#run(first, values, inItsContext(callback), isDrivers ? this.#sendWithCallback : this.#sendByOwn)
      const send = isDrivers ? this.#sendWithCallback : this.#sendForPromise
      return new Promise((resolve) => {
        this.#run(first, values, (error, result) => resolve(error ? failure(error) : result), send)
      })
    }

    // biome-ignore lint/suspicious/noExplicitAny: as above.
    override end(callback?: any): any {
      this.#owner.endedByHolder()
      return super.end(callback)
    }

    /**
     * Hears of the end by itself and not by a listener, which callers could remove. Nobody else has to listen; who does may
     * throw, which is no fault of what was read.
     */
    override emit(event: string | symbol, ...all: unknown[]): boolean {
      const isOver = event === 'error' || event === 'end'
      if (isOver && #owner in this)
        this.#owner.markLost(clarified(all[0] ?? new Error('Connection terminated unexpectedly')))
      if (this.listenerCount(event) > 0) return runUserCode(() => super.emit(event, ...all)) ?? true
      return event === 'error' ? super.emit(errorMonitor, ...all) : false
    }

    /** Of the present lease, whoever holds it. The client of a lease has a `release` of its own. */
    release(discard?: Error | boolean): void {
      this.#owner.endLease(this.#owner.lease.number, discard)
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

    /** A `query` of the user's own may know no callbacks, and may never settle. */
    readonly #sendForPromise: Send = (config, values, done) => {
      const query = (): unknown => super.query(config as string, values as unknown[])
      sendByOwn(this, query, () => true, done)
    }

    readonly #sendByOwn: Send = (config, values, done) => {
      const query = (tell: Callback): unknown => super.query(config as string, values as unknown[], tell)
      // It resolves with nothing if it leaves that to the callback.
      sendByOwn(this, query, (result) => typeof result === 'object' && result !== null, done)
    }

    #run(config: string | QueryConfig, values: unknown[] | undefined, callback: Callback, send: Send): void {
      const owner = this.#owner
      const isText = typeof config === 'string'
      const text = isText ? config : config.text
      const timeout = isText ? undefined : config.query_timeout
      const scope = owner.isInUse ? currentScope() : undefined
      const given = (isText ? undefined : config.signal) ?? scope?.signal
      const refusal = owner.refusal(text) ?? strangersRefusal(owner) ?? reasonToRefuse(given, text)
      if (refusal) return refuse(owner, text, refusal, callback)
      const kind = !isText && config.rows ? 'opaque' : kindOf(text, hasValues(values, config))
      const call = new StatementRun(owner, text, kind, callback)
      call.limit(timeout || this.#queryTimeout)
      // Given up before it is sent, or not at all: nobody would know what became of the work.
      if (given && kind !== 'commit' && kind !== 'rollback') call.obey(given)
      try {
        const query = isText ? config : copyOf(config)
        if (!isText && config.name) owner.preparedStatements.use(query as Named)
        // A statement by itself, on a connection that waits for nothing: most are.
        if (kind === 'work' && owner.pipeline.isIdle && (owner.xidTracker?.isOutside ?? true))
          send(query, values, call.answered)
        else this.#give(call.statement, kind, () => send(query, values, call.answered))
      } catch (error) {
        call.refused(error as Error)
        throw error
      }
    }

    /** Gives a statement to the driver, together with what must be known of its transaction. */
    #give(statement: Statement, kind: StatementKind, send: () => void): void {
      const { xidTracker } = this.#owner
      const isEarly = xidTracker?.prepare(kind) === 'early'
      const { _queryQueue: queue } = internalsOf(this)
      const before = queue.length
      const give = (): void => {
        send()
        if (queue.length === before) {
          // Whoever has put himself around `query` may not have given it to the driver yet.
          const isSent = internalsOf(this).readyForQuery === false
          return xidTracker?.sent(isSent ? kind : 'opaque')
        }
        const query = queue.at(-1) as DriverQuery
        statement.queued = query
        statement.sent = false
        whenSent(query, (submit) => {
          statement.queued = undefined
          statement.sent = true
          const problem = submit()
          if (!problem) xidTracker?.sent(kind)
          return problem
        })
        if (isEarly) this.#owner.pipeline.sendEarly(query)
      }
      if (isEarly || xidTracker?.willAskBehind(kind)) inOneWrite(this, give)
      else give()
    }

    #submit(submittable: Submittable, second: unknown, third: unknown): unknown {
      const owner = this.#owner
      const internals = internalsOf(this)
      const callback = (typeof second === 'function' ? second : third) as Callback | undefined
      if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
      const timeout = submittable.query_timeout || this.#queryTimeout
      submittable.query_timeout = 0
      owner.preparedStatements.use(submittable as Named)
      const { lease } = owner
      const { number } = lease
      const isLent = lease.isHeld(number)
      const refusal = owner.refusal()
      const statement = refusal ? undefined : owner.begin(submittable.text)
      // Nothing can be sent behind it, nor told of what it did.
      if (!refusal) owner.xidTracker?.sent(takesEffectLate(submittable.text) ? 'hidden' : 'opaque')
      trackSubmittable(submittable, callback as never, {
        connection: internals.connection,
        isReady: () => internals.readyForQuery === true,
        isOver: () => refusal !== undefined || owner.isLost,
        explain: (error) => refusal ?? (statement ? owner.explain(error, statement) : error),
        limit: () => owner.limit(timeout),
        ended: (error) => statement && owner.end(statement, error),
        refusal: () => (isLent && !lease.isHeld(number) ? new ReleaseError(RELEASED) : undefined),
      })
      if (!refusal) return super.query(submittable as never)
      process.nextTick(() => submittable.handleError(refusal, internals.connection))
      return submittable
    }
  } as unknown as PhysicalClientClass
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
  if (signal !== undefined && typeof propertyOf(signal, 'addEventListener') !== 'function')
    return new OptionsError(['`signal` must be an AbortSignal (of an AbortController it is `.signal`).'])
  return signal?.aborted && !onlyRollsBack(text) ? abortReason(signal) : undefined
}

/** With parameters the protocol allows but one statement; as without rows to be read in portions it is sent whole. */
function hasValues(values: unknown[] | undefined, config: string | QueryConfig): boolean {
  if (typeof config === 'string') return (values?.length ?? 0) > 0
  return (values ?? config.values ?? []).length > 0 || config.name !== undefined
}

/** Work that runs on when its attempt has ended must not meet the session of whoever leases this connection now. */
function strangersRefusal({ isInUse, lease }: ClientOwner): Error | undefined {
  if (!isInUse || !endedAttempt()?.isStrangerTo(lease)) return undefined
  return new ReleaseError('The transaction of this client has ended: it may not be used any more.')
}
