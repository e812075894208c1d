import type { EventEmitter } from 'node:events'
import type { Cancel } from '../runtime/clock.ts'
import { inThisContext } from '../runtime/context.ts'
import { runUserCode } from '../runtime/user-code.ts'
import { keepListening } from './kept-listeners.ts'

/** What is called at the end, with what pg calls it with. */
export type Callback = (error?: Error | null, result?: unknown) => void

/** What pg-cursor is, and what is built like it. */
export interface Cursor {
  read(count: number, callback?: Callback): unknown
  close(callback?: Callback): unknown
}

/** What talks to the server by itself, and may have a cursor inside. */
interface CursorHolder {
  readonly cursor?: Cursor
  submit(connection: unknown): unknown
}

/** What a submittable needs to know of the connection that it was given to. */
export interface Session {
  /** The protocol layer: emits `readyForQuery`, and `end` when the socket is closed. */
  readonly connection: EventEmitter
  /** Whether the server has answered everything that was sent. */
  readonly isReady: () => boolean
  /** Whether nothing will come from the server any more. */
  readonly isOver: () => boolean
  /** What to tell its user of an error. */
  readonly explain: (error: Error) => Error
  /** Gives the server time for one answer. */
  readonly limit: () => Cancel | undefined
  /** Why its user may ask for nothing more: the lease has ended. */
  readonly refusal: () => Error | undefined
  /** Told once, with the error if there was one. */
  readonly ended: (error?: Error) => void
}

/** A portal is gone when its session is, or when its statement has failed: closing it needs no more than that. */
export function answerAlways(
  cursor: Cursor,
  submittable: CursorHolder,
  session: Session,
  endOf: () => 'answered' | 'failed' | undefined,
): void {
  const hasFailed = (): boolean => endOf() === 'failed'
  const { read, close } = cursor
  const { submit } = submittable
  let isClosed = false

  cursor.read = (count, callback) => {
    if (!callback) return promised((done) => cursor.read(count, done))
    // What has ended is read without a word to the server.
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
    // Closed while it stood in line: the portal would stay open, and nothing behind it would ever run.
    if (isClosed) close.call(cursor, () => {})
    return error
  }
}

/** Calls back with the answer to what `start` asks for, or with the loss when the connection ends before. */
function ask(session: Session, start: (done: Callback) => void, callback: Callback): void {
  const { connection } = session
  let isSettled = false
  const settle = (...answer: Parameters<Callback>): void => {
    if (isSettled) return
    isSettled = true
    cancelLimit?.()
    forgetEnd()
    runUserCode(() => callback(...answer))
  }
  const lost = (): void => settle(session.explain(new Error('Connection terminated unexpectedly')))
  const cancelLimit = session.isOver() ? undefined : session.limit()
  const forgetEnd = keepListening(connection, 'end', lost)
  start(settle)
}

function promised(start: (done: Callback) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result)))
  })
}

/** The cursor that this is, or has. */
export function cursorOf(submittable: CursorHolder): Cursor | undefined {
  const candidate = (submittable.cursor ?? submittable) as Partial<Cursor>
  const isCursor = typeof candidate.read === 'function' && typeof candidate.close === 'function'
  return isCursor ? (candidate as Cursor) : undefined
}
