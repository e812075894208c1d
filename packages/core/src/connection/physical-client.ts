import { errorMonitor } from 'node:events'
import { Client, type ClientConfig, type PoolClient } from 'pg'
import { clarified } from '../driver/guarded-reading.ts'
import { takeQueryTimeout } from '../driver/internals.ts'
import type { Named } from '../driver/prepared-statements.ts'
import { failSubmittable, formOf, type Submittable, trackSubmittable } from '../driver/submittable.ts'
import { ReleaseError } from '../errors.ts'
import { poolOptionRefusal } from '../options/call-options.ts'
import { isOfLostPrimary } from '../policy/classify-error.ts'
import { isEnclosable, isEnclosableWrite, NOT_IN_A_TRANSACTION } from '../policy/enclosing.ts'
import { inItsContext, runUserCode } from '../runtime/context.ts'
import { currentScope } from '../runtime/pool-options-scope.ts'
import { failure } from '../runtime/stack.ts'
import { takesEffectLate } from '../sql/statement.ts'
import { codeOf } from '../thrown.ts'
import { hasOwnQuery, sendByOwnQuery, usableClientClass } from '../user-client.ts'
import type { ClientOwner } from './client-owner.ts'
import { EnclosedRun, type Enclosing } from './enclosed-run.ts'
import { RELEASED } from './lease.ts'
import {
  type Callback,
  callbackOf,
  copyOf,
  exempt,
  followerOf,
  isExempt,
  isSubmittable,
  kindToSend,
  type QueryConfig,
  refusalOf,
  textOf,
} from './query-arguments.ts'
import { refuse, StatementRun } from './statement-run.ts'

/** What `connect()` gives: a `pg.Client`, with the methods that @types/pg lacks. The physical client has the same type. */
export interface LeasedClient extends PoolClient, AsyncDisposable, Disposable {
  /** Lets its socket keep the process alive. */
  ref(): void
  /** Lets the process end although its socket is open. */
  unref(): void
  /** What the server has reported last: idle, in a transaction, in a failed one; null before the first report. */
  getTransactionStatus(): 'I' | 'T' | 'E' | null
}

/** The method by which a client encloses a statement: see `queryEnclosed`. */
export const ENCLOSED: unique symbol = Symbol('query enclosed')

/** A client that can enclose statements. */
export interface EnclosingClient {
  /** Runs a statement in a transaction of its own. False if that isn't possible: then nothing was sent. */
  [ENCLOSED](config: QueryConfig, as: Enclosing, callback: Callback): boolean
}

/** The method by which a client sends a statement behind those of other callers. */
export const FOLLOW: unique symbol = Symbol('query behind others')

/** A client that several callers may share, for one statement each. */
export interface FollowedClient {
  /** Sends a read at once. `onEnded` is called when it was answered, or has failed, before the callback. */
  [FOLLOW](
    config: string | QueryConfig,
    values: unknown[] | undefined,
    callback: Callback,
    onEnded: (error: Error | undefined) => void,
  ): void
}

/** Makes the client of a connection. */
export type PhysicalClientClass = new (config: ClientConfig, owner: ClientOwner) => LeasedClient

type Send = (config: string | QueryConfig, values: unknown[] | undefined, done: Callback) => void

// One class for all pools: V8 optimizes for a single class, and gets slower with several.
const CLASSES = new WeakMap<typeof Client, PhysicalClientClass>()

/**
 * The class of physical clients, derived from the driver's client class or the user's.
 *
 * @throws {OptionsError} for pg-native, whose socket can't be watched, and for a driver that lacks a part.
 */
export function physicalClientClass(base: typeof Client = Client): PhysicalClientClass {
  const derived = CLASSES.get(base) ?? derive(usableClientClass(base))
  CLASSES.set(base, derived)
  return derived
}

/** Its name must not contain "Pool": Drizzle takes such a client for a pool, and runs one transaction on several. */
function derive(base: typeof Client): PhysicalClientClass {
  return class PhysicalClient extends base implements AsyncDisposable {
    static {
      // The name that programs see, of the client of a lease too.
      Object.defineProperty(PhysicalClient, 'name', { value: 'LeasedClient' })
    }
    readonly #owner: ClientOwner
    /** The `query_timeout` of the connection string, or of pg's defaults. */
    readonly #queryTimeout: number | undefined

    constructor(config: ClientConfig, owner: ClientOwner) {
      super(config)
      this.#owner = owner
      this.#queryTimeout = takeQueryTimeout(this)
    }

    // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client, see LeasedClient.
    override query(first: any, second?: any, third?: any): any {
      if (first === null || first === undefined) return super.query(first) // Throws the driver's own TypeError.
      if (isSubmittable<Submittable>(first)) return this.#submit(first, second, third)
      const values = typeof second === 'function' ? undefined : second
      const callback = callbackOf(first, second, third) as Callback | undefined
      if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
      const isDrivers = !hasOwnQuery(base)
      if (callback)
        return this.#run(first, values, inItsContext(callback), isDrivers ? this.#sendWithCallback : this.#sendByOwn)
      const send = isDrivers ? this.#sendWithCallback : this.#sendForPromise
      return new Promise((resolve) => {
        this.#run(first, values, (error, result) => resolve(error ? failure(error) : result), send)
      })
    }

    // biome-ignore lint/suspicious/noExplicitAny: as above.
    override end(callback?: any): any {
      this.#owner.markEndedByCaller()
      return super.end(callback)
    }

    /**
     * Detects the end here and not by a listener, which callers could remove. So no `error` listener is needed. A listener may
     * throw, which must not look like a fault of the data.
     */
    override emit(event: string | symbol, ...all: unknown[]): boolean {
      const isOver = event === 'error' || event === 'end'
      if (isOver && #owner in this)
        this.#owner.markLost(clarified(all[0] ?? new Error('Connection terminated unexpectedly')))
      if (this.listenerCount(event) > 0) return runUserCode(() => super.emit(event, ...all)) ?? true
      return event === 'error' ? super.emit(errorMonitor, ...all) : false
    }

    /** Ends the present lease. The client of a lease has a `release` of its own. */
    release(discard?: Error | boolean): void {
      this.#owner.endLease(this.#owner.lease.number, discard)
    }

    // `using` reads it when the scope is entered, so that leaving the scope late can't release the next lease.
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

    /** A `query` of the user's own may not call back, and its promise may never settle. */
    readonly #sendForPromise: Send = (config, values, done) => {
      const query = (): unknown => super.query(config as string, values as unknown[])
      sendByOwnQuery(this, query, () => true, done, this.#onEnd)
    }

    readonly #sendByOwn: Send = (config, values, done) => {
      const query = (tell: Callback): unknown => super.query(config as string, values as unknown[], tell)
      // A promise of nothing is no answer: the callback has it.
      sendByOwnQuery(this, query, (result) => typeof result === 'object' && result !== null, done, this.#onEnd)
    }

    readonly #onEnd = (listener: () => void): void => void this.#owner.session.onEnd(listener)

    #run(config: string | QueryConfig, values: unknown[] | undefined, callback: Callback, send: Send): void {
      const owner = this.#owner
      const isText = typeof config === 'string'
      const text = isText ? config : config.text
      const timeout = isText ? undefined : config.query_timeout
      const scope = owner.isLeased ? currentScope() : undefined
      const signal = (isText ? undefined : config.signal) ?? scope?.signal
      const refusal = refusalOf(owner, text, signal) ?? (isText ? undefined : poolOptionRefusal(config))
      const isFirst = owner.lease.beginsWith(config) && !hasOwnQuery(base)
      if (refusal) return refuse(owner, { text, refusal, signal, isFirst }, callback)
      const kind = kindToSend(config, values)
      if (owner.statements.enclosesWrites && this.#encloseWrite(config, values, callback, signal, isFirst)) return
      const run = new StatementRun(owner, text, kind, callback, isFirst)
      run.startTimeout(timeout || this.#queryTimeout)
      // A COMMIT or ROLLBACK runs to its end once it is sent: nothing else tells what became of the transaction.
      if (signal && kind !== 'commit' && kind !== 'rollback') run.watchSignal(signal)
      try {
        const query = isText ? config : copyOf(config, values)
        if (!isText && config.name) owner.preparedStatements.use(query as Named)
        if (run.isAlone) send(query, values, run.answered)
        else run.give(() => send(query, values, run.answered))
      } catch (error) {
        run.refused(error as Error)
        throw error
      }
    }

    [FOLLOW](
      config: string | QueryConfig,
      values: unknown[] | undefined,
      callback: Callback,
      onEnded: (error: Error | undefined) => void,
    ): void {
      const timeout = (typeof config === 'string' ? undefined : config.query_timeout) || this.#queryTimeout
      const run = new StatementRun(this.#owner, textOf(config), 'work', inItsContext(callback))
      try {
        const query = followerOf(config, values)
        run.follow(timeout, onEnded, () => this.#sendWithCallback(query, values, run.answered))
      } catch (error) {
        run.refused(error as Error)
        throw error
      }
    }

    [ENCLOSED](config: QueryConfig, as: Enclosing, callback: Callback): boolean {
      const owner = this.#owner
      const isPossible =
        owner.mayEnclose && !hasOwnQuery(base) && isEnclosable(config.text, kindToSend(config, undefined))
      const signal = config.signal ?? (owner.isLeased ? currentScope() : undefined)?.signal
      if (!isPossible) return false
      const refusal = refusalOf(owner, config.text, signal)
      if (refusal) process.nextTick(callback, refusal)
      else this.#enclose(config, undefined, inItsContext(callback), as, signal)
      return true
    }

    /** Encloses a statement of the caller's if it is a write. One that can't run in a transaction then runs by itself. */
    #encloseWrite(
      config: string | QueryConfig,
      values: unknown[] | undefined,
      callback: Callback,
      signal: AbortSignal | undefined,
      isFirst: boolean,
    ): boolean {
      const owner = this.#owner
      if (!owner.mayEnclose || !owner.isLeased || hasOwnQuery(base) || isExempt(config)) return false
      if (!isEnclosableWrite(textOf(config), kindToSend(config, values))) return false
      const told: Callback = (error, result) => {
        const { isLost, lease } = owner
        const isRefused = codeOf(error) === NOT_IN_A_TRANSACTION && !isLost
        const didNothing = isLost || isOfLostPrimary(error)
        if (error && isFirst && didNothing && lease.runElsewhere({ error, signal, done: callback })) return
        if (isFirst) lease.endFirst()
        if (isRefused) this.#run(exempt(config), values, callback, this.#sendWithCallback)
        else callback(error, result)
      }
      this.#enclose(config, values, told, 'commit', signal)
      return true
    }

    #enclose(
      config: string | QueryConfig,
      values: unknown[] | undefined,
      callback: Callback,
      as: Enclosing,
      signal: AbortSignal | undefined,
    ): void {
      const owner = this.#owner
      const query = typeof config === 'string' ? config : copyOf(config, values)
      if (typeof query !== 'string' && query.name) owner.preparedStatements.use(query as Named)
      const statement = {
        kind: kindToSend(config, values),
        as,
        timeoutMillis: (typeof config === 'string' ? undefined : config.query_timeout) || this.#queryTimeout,
        commitTimeoutMillis: this.#queryTimeout,
        signal,
        send: (answered: Callback) => this.#sendWithCallback(query, values, answered),
      }
      new EnclosedRun(owner, statement, callback).start()
    }

    #submit(submittable: Submittable, second: unknown, third: unknown): unknown {
      const owner = this.#owner
      const { lease, statements } = owner
      const callback = (typeof second === 'function' ? second : third) as Callback | undefined
      if (callback && typeof callback !== 'function') throw new TypeError('callback is not a function')
      const timeout = submittable.query_timeout || this.#queryTimeout
      submittable.query_timeout = 0
      owner.preparedStatements.use(submittable as Named)
      const { number } = lease
      const isHeld = lease.isHeld(number)
      const refusal = owner.refusal()
      const form = formOf(submittable)
      const statement = refusal ? undefined : statements.begin(submittable.text, form)
      // No probe can be sent behind it, and its effect on the transaction isn't known.
      if (!refusal) owner.xidTracker?.sent(takesEffectLate(submittable.text) ? 'hidden' : 'opaque')
      trackSubmittable(this, submittable, callback as never, {
        isOver: () => refusal !== undefined || owner.isLost,
        errorFor: (error) => refusal ?? (statement ? statements.errorFor(error, statement) : error),
        startTimeout: () =>
          statement && form === 'cursor'
            ? statements.startPortion(statement, timeout)
            : statements.startTimeout(timeout),
        onEnd: (error) => statement && statements.end(statement, error),
        refusal: () => (isHeld && !lease.isHeld(number) ? new ReleaseError(RELEASED) : undefined),
      })
      if (!refusal) return super.query(submittable as never)
      failSubmittable(this, submittable, refusal)
      return submittable
    }
  } as unknown as PhysicalClientClass
}
