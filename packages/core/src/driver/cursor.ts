import type { EventEmitter } from 'node:events'
import type { Cancel } from '../runtime/clock.ts'
import { inThisContext, runUserCode } from '../runtime/context.ts'
import { keepListening } from './kept-listeners.ts'

/** Called at the end, with pg's arguments. */
export type Callback = (error?: Error | null, result?: unknown) => void

/** A pg-cursor, or an object with the same methods. */
export interface Cursor {
  read(count: number, callback?: Callback): unknown
  close(callback?: Callback): unknown
}

/** An object that talks to the server itself, and may have a cursor inside. */
interface CursorHolder {
  readonly cursor?: Cursor
  submit(connection: unknown): unknown
}

/** What a submittable asks the connection that it was given to. */
export interface SubmittableOwner {
  /** Whether nothing will come from the server any more. */
  readonly isOver: () => boolean
  /** The error to report in place of this one. */
  readonly errorFor: (error: Error) => Error
  /** Gives the server time for one answer. */
  readonly startTimeout: () => Cancel | undefined
  /** Why it may ask for nothing more: the lease has ended. */
  readonly refusal: () => Error | undefined
  /** Called once, at the end, with the error if there was one. */
  readonly onEnd: (error?: Error) => void
}

/** The same, with the driver's state of the session. */
export interface SubmittableSession extends SubmittableOwner {
  /** The protocol layer: emits `readyForQuery`, and `end` when the socket is closed. */
  readonly connection: EventEmitter
  /** Whether the server has answered everything that was sent. */
  readonly isReady: () => boolean
}

/**
 * Makes a cursor call back in every case, also when the connection dies. A portal is gone when its session is, or when its
 * statement has failed: then `close` has nothing to ask for.
 */
export function answerCursor(
  cursor: Cursor,
  submittable: CursorHolder,
  session: SubmittableSession,
  endOf: () => 'answered' | 'failed' | undefined,
): void {
  const hasFailed = (): boolean => endOf() === 'failed'
  const { read, close } = cursor
  const { submit } = submittable
  let isClosed = false

  cursor.read = (count, callback) => {
    if (!callback) return promised((done) => cursor.read(count, done))
    // Reading from a cursor that has ended asks the server for nothing.
    const refusal = endOf() ? undefined : session.refusal()
    if (refusal) process.nextTick(callback, refusal)
    else ask(session, (done) => read.call(cursor, count, done), inThisContext(callback))
    return undefined
  }
  cursor.close = (callback) => {
    if (!callback) return promised((done) => cursor.close(done))
    isClosed = true
    const start = (done: Callback): void => {
      if (session.isOver() || (hasFailed() && session.isReady())) process.nextTick(done)
      else if (hasFailed()) session.connection.once('readyForQuery', () => done())
      else close.call(cursor, done)
    }
    ask(
      session,
      start,
      inThisContext(() => callback()),
    )
    return undefined
  }
  submittable.submit = (connection) => {
    const error = submit.call(submittable, connection)
    // Closed while it waited in the queue: its portal would stay open, and block every statement behind it.
    if (isClosed) close.call(cursor, () => {})
    return error
  }
}

/** Calls back with the answer to what `start` asks for, or with the loss if the connection ends before. */
function ask(session: SubmittableSession, start: (done: Callback) => void, callback: Callback): void {
  const { connection } = session
  let isAnswered = false
  const answer = (...result: Parameters<Callback>): void => {
    if (isAnswered) return
    isAnswered = true
    cancelTimeout?.()
    stopListening()
    runUserCode(() => callback(...result))
  }
  const lost = (): void => answer(session.errorFor(new Error('Connection terminated unexpectedly')))
  const cancelTimeout = session.isOver() ? undefined : session.startTimeout()
  const stopListening = keepListening(connection, 'end', lost)
  start(answer)
}

function promised(start: (done: Callback) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result)))
  })
}

/** The cursor that a submittable is, or has. */
export function cursorOf(submittable: CursorHolder): Cursor | undefined {
  const candidate = (submittable.cursor ?? submittable) as Partial<Cursor>
  const isCursor = typeof candidate.read === 'function' && typeof candidate.close === 'function'
  return isCursor ? (candidate as Cursor) : undefined
}
