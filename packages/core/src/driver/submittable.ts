import { EventEmitter } from 'node:events'
import { type Client, Query } from 'pg'
import type { Cancel } from '../runtime/clock.ts'
import { runUserCode, thisContext } from '../runtime/context.ts'
import {
  answerCursor,
  type Callback,
  type Cursor,
  cursorOf,
  type SubmittableOwner,
  type SubmittableSession,
} from './cursor.ts'
import { CALLED_BY_DRIVER, internalsOf } from './internals.ts'

/**
 * What `client.query` takes beside texts and configs: an object that talks to the server itself. Its kind is told by its
 * members, not by its package: a cursor has `read` and `close`, what reads from a cursor has `cursor`, a stream has `destroy`.
 */
export interface Submittable {
  readonly text?: string
  callback?: Callback
  query_timeout?: number
  cursor?: Cursor
  submit(connection: unknown): unknown
  handleError(error: Error, connection: unknown): void
  handleReadyForQuery(connection: unknown): void
}

type Stream = EventEmitter & { readonly closed: boolean; destroy(error: Error): void }

interface Sink {
  // biome-ignore lint/suspicious/noExplicitAny: the overloads of Node's Writable.
  write(...all: any[]): boolean
}

interface Source {
  _read(size: number): void
  push(chunk: unknown, encoding?: unknown): boolean
}

/**
 * Makes a submittable report an answer in every case, also when the connection dies: pg-cursor waits for a ReadyForQuery
 * that never comes, and a stream waits for pg-cursor. The server has `query_timeout` for each answer that it owes; the
 * caller may take any time between two of them.
 */
export function trackSubmittable(
  client: Client,
  submittable: Submittable,
  callback: Callback | undefined,
  owner: SubmittableOwner,
): void {
  const internals = internalsOf(client)
  const session: SubmittableSession = {
    ...owner,
    connection: internals.connection,
    isReady: () => internals.readyForQuery === true,
  }
  const { handleError, handleReadyForQuery } = submittable
  let end: 'answered' | 'failed' | undefined
  const cursor = cursorOf(submittable)
  if (submittable instanceof EventEmitter) shieldListeners(submittable)
  if (cursor) answerCursor(cursor, submittable, session, () => end)
  const cancelTimeout = cursor ? undefined : limitAnswers(submittable, owner)
  const callBack = callback && callBackOnce(submittable, callback)
  let refused: Error | undefined
  if (isSink(submittable))
    refuseWrites(submittable, () => {
      if (!end) refused ??= owner.refusal()
      return refused
    })
  const ended = (error?: Error): void => {
    cancelTimeout?.()
    if (!end) owner.onEnd(error)
    end ??= error ? 'failed' : 'answered'
  }
  submittable.handleError = (error, connection) => {
    ended(error)
    const reported = refused ?? owner.errorFor(error)
    const report = (): void => handleError.call(submittable, reported, connection)
    callBack?.expect(reported)
    if (owner.isOver() && isStream(submittable)) fail(submittable, reported, report)
    else report()
    callBack?.ensureCalled()
  }
  submittable.handleReadyForQuery = (connection) => {
    ended()
    handleReadyForQuery.call(submittable, connection)
    callBack?.ensureCalled()
  }
  runInThisContext(submittable)
}

/** How its answer comes: in portions that are asked for, at once as with the driver's own statement, or in a way of its own. */
export function formOf(submittable: Submittable): 'cursor' | 'statement' | 'stream' {
  if (cursorOf(submittable)) return 'cursor'
  return submittable instanceof Query ? 'statement' : 'stream'
}

/** Tells a submittable, in the next tick, that it isn't submitted. */
export function failSubmittable(client: Client, submittable: Submittable, error: Error): void {
  process.nextTick(() => submittable.handleError(error, internalsOf(client).connection))
}

/** Runs everything that the driver calls, and so each event of the submittable, in the caller's async context. */
function runInThisContext(submittable: Submittable): void {
  const context = thisContext()
  const methods = submittable as unknown as Record<string, unknown>
  const bind = (name: string): void => {
    const method = methods[name]
    if (typeof method !== 'function') return
    methods[name] = (...args: unknown[]) => context.runInAsyncScope(method as () => unknown, submittable, ...args)
  }
  CALLED_BY_DRIVER.filter((name) => !isDriversOwn(submittable, name)).forEach(bind)
  if (isSource(submittable)) bind('push') // The events of its data come from here.
}

/** The driver's own statement calls no user code there. It is left alone, so that `row-shape` recognizes it. */
function isDriversOwn(submittable: object, name: (typeof CALLED_BY_DRIVER)[number]): boolean {
  return name === 'handleRowDescription' && submittable instanceof Query
}

/** Makes a COPY accept nothing more once `refusal` returns an error. What it was given before is sent. */
function refuseWrites(sink: Stream & Sink, refusal: () => Error | undefined): void {
  const { write } = sink
  sink.write = (...all: unknown[]) => {
    const refused = refusal()
    if (!refused) return write.apply(sink, all)
    const callback = all.findLast((each) => typeof each === 'function')
    if (callback) process.nextTick(callback as () => void, refused)
    sink.destroy(refused)
    return false
  }
}

/** Calls back once, at the end, also for a submittable that knows no callback or drops the error. */
function callBackOnce(
  submittable: Submittable,
  callback: Callback,
): { expect(error: Error): void; ensureCalled(): void } {
  const { callback: own } = submittable
  let failure: Error | null = null
  let isCalled = false
  submittable.callback = (error, result) => {
    if (isCalled) return
    isCalled = true
    const reason = error ?? failure
    if (own) runUserCode(() => own.call(submittable, error, result))
    runUserCode(() => (reason ? callback(reason) : callback(null, result)))
  }
  return {
    expect: (error) => {
      failure = error
    },
    ensureCalled: () => submittable.callback?.(),
  }
}

/** A listener of the user's may throw. That isn't a fault of the data, and must not end the connection. */
function shieldListeners(submittable: EventEmitter): void {
  const { emit } = submittable
  submittable.emit = (...details) => runUserCode(() => emit.apply(submittable, details)) ?? true
}

/** A readable stream has the timeout for each portion; everything else has it for the whole, as with the driver. */
function limitAnswers(submittable: Submittable, { startTimeout }: SubmittableOwner): Cancel | undefined {
  if (!isSource(submittable)) return isTimed(submittable) ? startTimeout() : undefined
  const { _read, push } = submittable
  let cancel: Cancel | undefined
  const stop = (): void => {
    cancel?.()
    cancel = undefined
  }
  submittable._read = (size) => {
    stop()
    cancel = startTimeout()
    _read.call(submittable, size)
  }
  submittable.push = (chunk, encoding) => {
    stop()
    return push.call(submittable, chunk, encoding)
  }
  return stop
}

/**
 * Ends a stream for good. `handleError` alone emits an error and leaves the stream open, so that later reads never end. If
 * the stream has no `error` listener, the error must not end the process: a listener that is added later is told then.
 */
function fail(stream: Stream, error: Error, report: () => void): void {
  const end = (): void => {
    stream.destroy(error)
    if (!stream.closed) report()
  }
  if (stream.listenerCount('error') > 0) return end()
  stream.on('error', () => {})
  // A destroyed stream can't be piped into. It can be piped from, and then emits its error.
  if ('write' in stream) stream.on('newListener', (event) => event === 'error' && process.nextTick(end))
  else end()
}

function isStream(submittable: object): submittable is Stream {
  return 'destroy' in submittable && 'closed' in submittable
}

function isSink(submittable: object): submittable is Stream & Sink {
  return isStream(submittable) && 'write' in submittable
}

function isSource(submittable: object): submittable is Source {
  return '_read' in submittable && 'push' in submittable
}

/** The driver applies its timeout to what has a callback. So does this. */
function isTimed(submittable: Submittable): boolean {
  return submittable instanceof Query || typeof submittable.callback === 'function'
}
