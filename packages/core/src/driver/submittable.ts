import { EventEmitter } from 'node:events'
import { Query } from 'pg'
import type { Cancel } from '../runtime/clock.ts'
import { thisContext } from '../runtime/context.ts'
import { runUserCode } from '../runtime/user-code.ts'
import { answerAlways, type Callback, type Cursor, cursorOf, type Session } from './cursor.ts'
import { CALLED_BY_DRIVER } from './internals.ts'

/**
 * What `client.query` takes beside texts and configs: an object that talks to the server by itself. Known by what it
 * has, not by the package that it is from: a cursor by `read` and `close`, what reads from a cursor by `cursor`, a
 * stream by `destroy`.
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
 * Sees to it that whoever waits for a submittable gets an answer, also when the connection dies: pg-cursor waits for a
 * ReadyForQuery that never comes, and whatever is built on it waits for pg-cursor. A server that owes an answer has
 * `query_timeout` for it; a holder may take as long as he likes.
 */
export function trackSubmittable(submittable: Submittable, callback: Callback | undefined, session: Session): void {
  const { handleError, handleReadyForQuery } = submittable
  let end: 'answered' | 'failed' | undefined
  const cursor = cursorOf(submittable)
  if (submittable instanceof EventEmitter) shieldListeners(submittable)
  if (cursor) answerAlways(cursor, submittable, session, () => end)
  const cancelLimit = cursor ? undefined : limitAnswers(submittable, session)
  const callBack = callback && callBackOnce(submittable, callback)
  let refused: Error | undefined
  if (isSink(submittable))
    refuseWrites(submittable, () => {
      if (!end) refused ??= session.refusal()
      return refused
    })
  const ended = (error?: Error): void => {
    cancelLimit?.()
    if (!end) session.ended(error)
    end ??= error ? 'failed' : 'answered'
  }
  submittable.handleError = (error, connection) => {
    ended(error)
    const told = refused ?? session.explain(error)
    const tell = (): void => handleError.call(submittable, told, connection)
    callBack?.expect(told)
    if (session.isOver() && isStream(submittable)) fail(submittable, told, tell)
    else tell()
    callBack?.settle()
  }
  submittable.handleReadyForQuery = (connection) => {
    ended()
    handleReadyForQuery.call(submittable, connection)
    callBack?.settle()
  }
  runInThisContext(submittable)
}

/** Has whatever comes from the server, and through it each event of the submittable's, arrive in the caller's context. */
function runInThisContext(submittable: Submittable): void {
  const context = thisContext()
  const methods = submittable as unknown as Record<string, unknown>
  const bind = (name: string): void => {
    const method = methods[name]
    if (typeof method !== 'function') return
    methods[name] = (...args: unknown[]) => context.runInAsyncScope(method as () => unknown, submittable, ...args)
  }
  CALLED_BY_DRIVER.filter((name) => !isDriversOwn(submittable, name)).forEach(bind)
  if (isSource(submittable)) bind('push') // What it tells of its data comes from here.
}

/** Where the driver's own statement calls nobody, it is left as it is: its rows are described in a faster way. */
function isDriversOwn(submittable: object, name: (typeof CALLED_BY_DRIVER)[number]): boolean {
  return name === 'handleRowDescription' && submittable instanceof Query
}

/** A COPY takes nothing more once this answers with a reason. What it was given before is sent. */
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

/** Calls back once, at the end: also for those that know no callback, or forget the error. */
function callBackOnce(submittable: Submittable, callback: Callback): { expect(error: Error): void; settle(): void } {
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
    settle: () => submittable.callback?.(),
  }
}

/** Who listens to rows and data may throw: that is no fault of what was read. */
function shieldListeners(submittable: EventEmitter): void {
  const { emit } = submittable
  submittable.emit = (...details) => runUserCode(() => emit.apply(submittable, details)) ?? true
}

/** A stream that reads has the time for each portion, everything else for the whole, as with the driver. */
function limitAnswers(submittable: Submittable, { limit }: Session): Cancel | undefined {
  if (!isSource(submittable)) return isTimed(submittable) ? limit() : undefined
  const { _read, push } = submittable
  let cancel: Cancel | undefined
  const stop = (): void => {
    cancel?.()
    cancel = undefined
  }
  submittable._read = (size) => {
    stop()
    cancel = limit()
    _read.call(submittable, size)
  }
  submittable.push = (chunk, encoding) => {
    stop()
    return push.call(submittable, chunk, encoding)
  }
  return stop
}

/**
 * Ends a stream for good. `handleError` alone emits an error but leaves it open: whoever uses it later would wait for
 * ever. That nobody listens yet is no reason to end the process: whoever comes later is told then.
 */
function fail(stream: Stream, error: Error, tell: () => void): void {
  const end = (): void => {
    stream.destroy(error)
    if (!stream.closed) tell()
  }
  if (stream.listenerCount('error') > 0) return end()
  stream.on('error', () => {})
  // Nothing can be piped into a stream that was destroyed; from one it can, and tells its error.
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

/** Whoever has a callback wants the driver's timeout: that is how the driver itself tells. */
function isTimed(submittable: Submittable): boolean {
  return submittable instanceof Query || typeof submittable.callback === 'function'
}
