import { type Client, Query, type QueryResult } from 'pg'
import { type AnsweredQuery, type DriverInternals, internalsOf } from './internals.ts'
import { keepListening } from './kept-listeners.ts'

/** What the server has said so far of a statement that it executes. */
export interface AnswerSoFar {
  /** Whether it is a question of the pool's, and no statement of a caller's. */
  readonly isQuestion: boolean
  /** Whether the server has said that the statement is complete (CommandComplete); of several in one text, the last one. */
  readonly isComplete: boolean
  readonly protocol: 'simple' | 'extended'
  /** The result, as far as it has arrived; undefined if a value of it couldn't be converted. */
  readonly result: QueryResult | undefined
  /** A notice that the server sent meanwhile, if its code is that of a session's end. */
  readonly notice: unknown
}

const QUESTIONS = new WeakSet<object>()
/** The notices with which a session has ended, by the statements that it executed. */
const LAST_NOTICES = new WeakMap<object, unknown>()
const ADMIN_SHUTDOWN = '57P01'

/** Marks a question of the pool's own, which isn't among the statements in flight. */
export function markQuestion<Statement extends object>(query: Statement): Statement {
  QUESTIONS.add(query)
  return query
}

/**
 * Reads from the driver what the server has said of the statement that it executes. The driver tells a statement of an error
 * also when the server had completed it before. It costs nothing while nothing fails: the driver's own statement keeps what
 * it was told.
 */
export class AnswersSoFar {
  readonly #internals: DriverInternals
  #failed: { readonly message: unknown; readonly answer: AnswerSoFar | undefined } | undefined
  /** The answer to what was executed when the connection ended: the driver then forgets it before it tells anyone. */
  #atEnd: AnswerSoFar | undefined

  constructor(client: Client) {
    const internals = internalsOf(client)
    const { connection } = internals
    this.#internals = internals
    const noteEnd = (): void => {
      this.#atEnd ??= readAnswer(internals._getActiveQuery())
    }
    keepListening(connection, 'error', noteEnd, 'first')
    keepListening(connection, 'end', noteEnd, 'first')
    keepListening(connection, 'notice', (notice: { readonly code?: string }) => {
      const query = notice.code === ADMIN_SHUTDOWN && internals._getActiveQuery()
      if (query) LAST_NOTICES.set(query, notice)
    })
    keepListening(
      connection,
      'errorMessage',
      (message) => {
        this.#failed = { message, answer: readAnswer(internals._getActiveQuery()) }
      },
      'first',
    )
  }

  /** Of the statement that the server executes, or did when the connection ended; undefined if only a cursor knows. */
  get current(): AnswerSoFar | undefined {
    return readAnswer(this.#internals._getActiveQuery()) ?? this.#atEnd
  }

  /** Of the statement that the server has failed with this message. */
  before(message: unknown): AnswerSoFar | undefined {
    return this.#failed?.message === message ? this.#failed?.answer : undefined
  }
}

function readAnswer(query: object | null | undefined): AnswerSoFar | undefined {
  if (!(query instanceof Query)) return undefined
  const { _result, _results, _canceledDueToError } = query as unknown as AnsweredQuery
  return {
    isQuestion: QUESTIONS.has(query),
    isComplete: _result.command !== null,
    protocol: (query as unknown as AnsweredQuery).requiresPreparation() ? 'extended' : 'simple',
    result: _canceledDueToError ? undefined : _results,
    notice: LAST_NOTICES.get(query),
  }
}
