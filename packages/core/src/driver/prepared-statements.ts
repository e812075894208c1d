import { type Client, Query } from 'pg'
import { endsSession, STALE_STATEMENT, severityOf } from '../policy/classify-error.ts'
import { factsOf } from '../policy/sqlstate.ts'
import { codeOf } from '../thrown.ts'
import type { FrequentTexts } from './frequent-texts.ts'
import { type DriverInternals, type DriverQuery, internalsOf } from './internals.ts'
import { keepListening } from './kept-listeners.ts'
import { enqueueFirst } from './pipeline.ts'

/** What is known of prepared statements, shared by the connections of a pool. */
export interface PreparedKnown {
  /** Counts how often the prepared statements of all connections became stale. */
  epoch: number
  /** Called when a statement is run again: how many times it runs now, and why it failed the time before. */
  readonly onRerun?: ((attempt: number, error: Error) => void) | undefined
  /** The texts that the pool itself prepares; undefined if it prepares none. */
  readonly frequent?: FrequentTexts | undefined
}

/** The parts of a named statement: a config of the caller's, or a `Query` of the driver's. */
export interface Named {
  text?: string
  name?: string | undefined
  queryMode?: string
}

/** What the connection knows of the statement that the server executes. */
export interface Rerunner {
  /** Whether its caller still waits for it. */
  isWanted(): boolean
  /** It is first in the driver's queue again. Returns what is to be called when it is sent. */
  requeued(query: DriverQuery): () => void
}

/** A prepared statement, as the driver keeps it. */
type NamedQuery = DriverQuery & Named & { readonly rows?: number }

const NAME_TAKEN = '42P05' // duplicate_prepared_statement

/**
 * Keeps the driver's list of a session's prepared statements true. The server checks at Bind, before anything is executed,
 * whether the statement is still valid: a table may have changed, a type may have been replaced, DISCARD ALL may have been
 * executed. The driver would send the same Bind each time. Here the statement is prepared again and, outside a transaction,
 * run again before its caller is told.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export class PreparedStatements {
  readonly #internals: DriverInternals
  readonly #pool: PreparedKnown
  readonly #rerunner: Rerunner | undefined
  #epoch: number
  #isUsed = false
  /** Whether the server has answered Parse, and Bind, of the statement that it executes. */
  #isParsed = false
  #isBound = false
  /** Names that the server may still have and the driver has forgotten: they are closed before they are parsed again. */
  readonly #dropped = new Map<string, string | undefined>()
  /** Names that are given up: they are closed before the next statement is parsed. */
  readonly #closing: string[] = []
  /** Names that the server has for other statements: statements with these names are sent without a name. */
  readonly #taken = new Set<string>()
  /** With which code the statements of these names have failed although they had just been parsed. */
  readonly #failsFresh = new Map<string, string>()
  /** The statement that was run again last. The second time it runs without a name, and there is no third. */
  #lastRerun: NamedQuery | undefined
  /** How many times that one has run. */
  #runs = 1

  /** Without a `rerunner` nothing is run again: in a pipeline, other statements have been sent behind it. */
  constructor(client: Client, pool: PreparedKnown, rerunner: Rerunner | undefined) {
    const internals = internalsOf(client)
    this.#internals = internals
    this.#pool = pool
    this.#rerunner = rerunner
    this.#epoch = pool.epoch
    const { _handleErrorMessage: handle } = internals
    internals._handleErrorMessage = (message) => {
      const query = this.#isUsed && !this.#isBound ? internals._getActiveQuery() : undefined
      if (!isNamed(query) || !this.#handleStale(query, message)) return handle.call(internals, message)
      // The driver ends the statement, and its caller isn't told.
      const own = Object.getOwnPropertyDescriptor(query, 'handleError')
      query.handleError = () => {}
      handle.call(internals, message)
      Reflect.deleteProperty(query, 'handleError')
      if (own) Object.defineProperty(query, 'handleError', own)
      this.#runAgain(query)
      this.#pool.onRerun?.(this.#runs, message)
    }
  }

  /** Called before a named statement is given to the driver. */
  use(statement: Named): void {
    const { name } = statement
    if (!name) return
    if (!this.#isUsed) this.#watch()
    if (this.#epoch !== this.#pool.epoch) {
      this.#epoch = this.#pool.epoch
      this.dropAll()
    }
    if (this.#dropped.has(name)) {
      const text = this.#dropped.get(name)
      if (text !== undefined) statement.text ??= text
      this.#forget(name) // The driver may have added it again since.
    }
    if (this.#taken.has(name)) withoutName(statement)
  }

  /** The next statement of the same write begins: what the server has answered so far concerns the one before it. */
  nextBegins(): void {
    this.#isParsed = false
    this.#isBound = false
  }

  /** Forgets all: the server has dropped them. */
  forgetAll(): void {
    const { connection } = this.#internals
    connection.parsedStatements = {}
    connection.submittedNamedStatements = {}
    this.#dropped.clear()
    this.#closing.length = 0
    this.#taken.clear()
    this.#failsFresh.clear()
  }

  /** Gives a name up. The server is told in the same write in which the next statement is parsed. */
  closeLater(name: string): void {
    this.#forget(name)
    this.#dropped.delete(name)
    this.#failsFresh.delete(name)
    this.#closing.push(name)
  }

  /** Has all prepared again, whether or not the server still has them. */
  dropAll(): void {
    this.#taken.clear()
    this.#failsFresh.clear()
    for (const name of Object.keys(this.#internals.connection.parsedStatements)) this.#drop(name)
  }

  /** Handles an error from before Bind. Returns whether the statement is to be run again. */
  #handleStale(query: NamedQuery, message: Error): boolean {
    const name = query.name as string
    const known = this.#internals.connection.parsedStatements[name]
    const code = codeOf(message)
    const isTaken = known === undefined && !this.#isParsed && code === NAME_TAKEN
    const isFresh = known === undefined || this.#isParsed
    // An error that it also gives right after Parse has another reason than its age.
    if (this.#isParsed && code !== undefined) this.#failsFresh.set(name, code)
    const stale = isFresh || this.#failsFresh.get(name) === code ? undefined : factsOf(code).stale
    if ((!isTaken && !stale) || severityOf(message) === undefined || endsSession(message)) return false
    if (known !== undefined && query.text === undefined) query.text = known
    if (stale === 'statement') this.#drop(name)
    else if (stale) this.dropAll()
    if (stale === 'pool') this.#epoch = ++this.#pool.epoch
    if (isTaken) this.#takeName(name)
    const isOutside = this.#internals.getTransactionStatus() === 'I'
    const isSecondRerun = this.#lastRerun === query
    const mayRun =
      isOutside && query instanceof Query && query.text !== undefined && this.#rerunner?.isWanted() === true
    // A value may simply be wrong. Then it is wrong each time.
    if (!mayRun && stale !== 'statement') markStale(message)
    this.#lastRerun = query
    this.#runs = isSecondRerun ? this.#runs + 1 : 2
    if (isTaken || isSecondRerun) withoutName(query)
    return mayRun
  }

  /** Nothing was executed, so it runs as if for the first time, before everything in the queue. */
  #runAgain(query: NamedQuery): void {
    const sent = this.#rerunner?.requeued(query)
    Reflect.deleteProperty(query, 'submit') // The wrapper of the first time has done its work.
    const { submit } = query
    query.submit = (connection) => {
      Reflect.deleteProperty(query, 'submit')
      sent?.()
      return submit.call(query, connection)
    }
    // With `rows`, the driver sends Sync only after the last row.
    if (query.rows) this.#internals.connection.sync()
    enqueueFirst(this.#internals, query)
  }

  /** The driver must not believe that the server has this statement: it would send Bind for another one. */
  #takeName(name: string): void {
    this.#taken.add(name)
    this.#forget(name)
  }

  #drop(name: string): void {
    this.#dropped.set(name, this.#internals.connection.parsedStatements[name])
    this.#forget(name)
  }

  #forget(name: string): void {
    const { parsedStatements, submittedNamedStatements } = this.#internals.connection
    delete parsedStatements[name]
    if (submittedNamedStatements) delete submittedNamedStatements[name]
  }

  /** Begins with the first named statement: without names there is no cost. */
  #watch(): void {
    this.#isUsed = true
    const { connection } = this.#internals
    const { parse, close } = connection
    keepListening(connection, 'parseComplete', () => {
      this.#isParsed = true
    })
    keepListening(connection, 'bindComplete', () => {
      this.#isBound = true
    })
    keepListening(connection, 'readyForQuery', () => {
      this.#isParsed = false
      this.#isBound = false
    })
    connection.parse = (statement, ...rest) => {
      const { name } = statement
      for (const each of this.#closing.splice(0)) close.call(connection, { type: 'S', name: each })
      // Closing a statement that doesn't exist is no error.
      if (name && this.#dropped.delete(name)) close.call(connection, { type: 'S', name })
      parse.call(connection, statement, ...rest)
    }
    // The driver closes a statement whose values it can't convert, but keeps it in its list.
    connection.close = (what, ...rest) => {
      if (what.type === 'S' && what.name) this.#dropped.set(what.name, undefined)
      close.call(connection, what, ...rest)
    }
  }
}

function isNamed(query: object | null | undefined): query is NamedQuery & { name: string } {
  return !!(query as NamedQuery | null | undefined)?.name
}

/** Marks an error that only says that a prepared statement was stale: the transaction can be retried. */
function markStale(error: object): void {
  if (Object.isExtensible(error)) Object.defineProperty(error, STALE_STATEMENT, { value: true })
}

/** Sends it as one statement all the same, as named statements and texts with values always are. */
function withoutName(statement: Named): void {
  statement.name = undefined
  statement.queryMode = 'extended'
}
