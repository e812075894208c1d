import { Client, type ClientConfig, type QueryResult } from 'pg'
import { checkDriver } from './driver/internals.ts'
import { OptionsError } from './errors.ts'
import { afterPatience, type Cancel, type Clock, systemClock } from './runtime/clock.ts'
import { propertyOf, toError } from './thrown.ts'

/**
 * The class to derive the pool's clients from, for the class that the user has set. A class that is no client is replaced by
 * one whose `connect` rejects: first with the class's own error, if it has one.
 *
 * @throws {OptionsError} for pg-native, whose socket can't be watched, and for a driver that lacks a part.
 */
export function usableClientClass(base: typeof Client): typeof Client {
  if (typeof base !== 'function' || !hasSocket(base))
    throw new OptionsError([
      '`Client` must be the JavaScript client of pg: pg-native has no socket that could be watched.',
    ])
  const usable = isForeign(base) ? standInClient(base as never) : base
  checkDriver(usable)
  return usable
}

/** Whether a class has its own way to send statements. */
export function hasOwnQuery(base: typeof Client): boolean {
  return base.prototype.query !== Client.prototype.query
}

/** Whether it is neither pg-native nor a class that hides its prototype. */
function hasSocket(base: typeof Client): boolean {
  const prototype = propertyOf(base, 'prototype')
  try {
    return typeof prototype === 'object' && prototype !== null && !('isConnected' in prototype)
  } catch {
    return false
  }
}

type Callback = (error: Error | null, result?: QueryResult) => void

/** The statements of each client that wait for an answer of its own `query`. */
const WAITING = new WeakMap<Client, Set<() => void>>()

/**
 * Sends a statement by a `query` of the user's own class, which may call back, return a promise of the answer, or both. `done`
 * is called with the first of these, also when the promise rejects. If there is none, the statement ends with the connection:
 * `onEnd` adds a listener for that.
 */
export function sendByOwnQuery(
  client: Client,
  query: (done: Callback) => unknown,
  isAnswer: (result: unknown) => boolean,
  done: Callback,
  onEnd: (listener: () => void) => void,
): void {
  const waiting = WAITING.get(client) ?? watchEnd(client, onEnd)
  const giveUp = (): void => answer(new Error('Connection terminated unexpectedly'))
  const answer: Callback = (error, result) => {
    waiting.delete(giveUp)
    done(error, result)
  }
  waiting.add(giveUp)
  let returned: unknown
  try {
    returned = query(answer)
  } catch (error) {
    waiting.delete(giveUp)
    throw error
  }
  if (typeof propertyOf(returned, 'then') !== 'function') return
  Promise.resolve(returned).then(
    (result) => {
      if (isAnswer(result)) answer(null, result as QueryResult)
    },
    (reason: unknown) => answer((reason || toError(reason)) as Error),
  )
}

/** Adds one listener for all statements of a client. */
function watchEnd(client: Client, onEnd: (listener: () => void) => void): Set<() => void> {
  const waiting = new Set<() => void>()
  WAITING.set(client, waiting)
  const giveUpAll = (): void => {
    for (const giveUp of waiting) giveUp()
  }
  // The driver tells the statements that it knows in the next tick. This comes after it.
  onEnd(() => process.nextTick(() => process.nextTick(giveUpAll)))
  return waiting
}

/** A client class that connects, and reports it by a callback, a promise, or both. */
export interface Connecting {
  connect(callback: (error?: unknown) => void): unknown
}

/** What is known of the login of a client, beside what its class reports. */
export interface LoginKnown {
  readonly clock: Clock
  /** How long the class may take to report a login that is done. After that, it counts as failed. */
  readonly patienceMillis: number
  /** Whether it is logged in. */
  readonly isDone: () => boolean
  /** Calls back when it is. */
  readonly onDone: (callback: () => void) => void
}

/**
 * Connects a client, whose class may call back, return a promise, or both, as pg does. A promise that is fulfilled before the
 * login is done means nothing: it belongs to a step before, such as fetching a token, and the callback is still to come.
 */
export function connectInAnyWay(
  client: Connecting,
  { clock, patienceMillis, isDone, onDone }: LoginKnown,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let isReported = false
    let cancel: Cancel | undefined
    const report = (error?: unknown): void => {
      if (isReported) return // It may call back twice.
      isReported = true
      cancel?.()
      if (error) reject(error)
      else resolve()
    }
    onDone(() => {
      if (isReported) return
      const late = `The login is done, but \`Client.connect\` hasn't called back within ${patienceMillis} ms`
      cancel = afterPatience(clock, patienceMillis, 'nothing', () => report(new Error(late)))
    })
    const promise = client.connect(report)
    if (!isThenable(promise)) return
    promise.then(
      () => {
        if (isDone()) report()
      },
      (error: unknown) => report(error || new Error('`Client.connect` has failed without an error', { cause: error })),
    )
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** A class that is no client: it has no `query`. */
export type ForeignClass = new (config: ClientConfig) => Connecting & { end?(): unknown; on?: unknown }

/** Whether a class is no client at all, and not just a client that lacks a part. */
export function isForeign(base: { readonly prototype: object }): boolean {
  return !('query' in base.prototype)
}

/**
 * A client class in place of one that is no client. Its `connect` always rejects: with the error of the other's `connect`, or,
 * if that succeeds, with an error that says that the class can't be used.
 */
export function standInClient(Foreign: ForeignClass): typeof Client {
  return class StandIn extends Client {
    readonly #config: ClientConfig

    constructor(config: ClientConfig) {
      super(config)
      this.#config = config
    }

    // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
    override connect(callback?: any): any {
      const refused = this.#refuse()
      return callback ? void refused.catch((error: unknown) => callback(error)) : refused
    }

    async #refuse(): Promise<never> {
      const foreign = new Foreign(this.#config)
      await connectInAnyWay(foreign, ANY_LOGIN)
      await foreign.end?.()
      throw new OptionsError(['`Client` must be a client class of pg, or be derived from it: this one has no `query`.'])
    }
  }
}

/** Only the class itself reports its login. */
const ANY_LOGIN: LoginKnown = { clock: systemClock, patienceMillis: 0, isDone: () => true, onDone: () => {} }
