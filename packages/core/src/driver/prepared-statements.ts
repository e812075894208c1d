import { Query } from 'pg'
import { endsSession, STALE_STATEMENT, severityOf } from '../policy/classify-error.ts'
import { factsOf } from '../policy/sqlstate.ts'
import { codeOf } from '../thrown.ts'
import { type DriverInternals, type DriverQuery, enqueueFirst } from './internals.ts'
import { keepListening } from './kept-listeners.ts'

/** What the connections of a pool know together of prepared statements. */
export interface PreparedKnown {
  /** Counts how often those of all connections were found to be stale. */
  epoch: number
  /** Told when a statement runs again by itself: which of its attempts begins, and why the one before failed. */
  readonly onRerun?: ((attempt: number, error: Error) => void) | undefined
}

/** What a statement can be prepared by: a config of the caller's, or a `Query` of the driver's. */
export interface Named {
  text?: string
  name?: string | undefined
  queryMode?: string
}

/** What the connection says of the statement that the server works on. */
export interface Rerunner {
  /** Whether the caller still waits for it. */
  isWanted(): boolean
  /** It stands first in the driver's line again. Returns what is to be called when it is sent. */
  requeued(query: DriverQuery): () => void
}

/** A prepared statement, as the driver keeps it. */
type NamedQuery = DriverQuery & Named & { readonly rows?: number }

const NAME_TAKEN = '42P05' // duplicate_prepared_statement

/**
 * Keeps the driver's list of a session's prepared statements true. The server checks at Bind, before anything is executed,
 * whether what a statement was prepared for still holds: a table has changed, a type was replaced, somebody has said
 * DISCARD ALL. The driver would send the same Bind again and again; here the statement is prepared once more, and, outside
 * of a transaction, run again unseen.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export class PreparedStatements {
  readonly #internals: DriverInternals
  readonly #pool: PreparedKnown
  readonly #rerunner: Rerunner | undefined
  #epoch: number
  #isUsed = false
  /** Of the statement that the server works on: whether it has answered Parse, and Bind. */
  #isParsed = false
  #isBound = false
  /** Names that the server may still know, and the driver doesn't: closed before they are parsed again. */
  readonly #dropped = new Map<string, string | undefined>()
  /** Names that something else has at the server: their statements go without one. */
  readonly #taken = new Set<string>()
  /** The statement that was run again last: once more it is without a name, and then no more. */
  #cured: NamedQuery | undefined
  /** How often that one runs. */
  #attempts = 1

  /** Without a `rerunner` nothing runs again: in a pipeline others have been sent behind it. */
  constructor(internals: DriverInternals, pool: PreparedKnown, rerunner: Rerunner | undefined) {
    this.#internals = internals
    this.#pool = pool
    this.#rerunner = rerunner
    this.#epoch = pool.epoch
    const { _handleErrorMessage: handle } = internals
    internals._handleErrorMessage = (message) => {
      const query = this.#isUsed && !this.#isBound ? internals._getActiveQuery() : undefined
      if (!isNamed(query) || !this.#judge(query, message)) return handle.call(internals, message)
      // The driver takes note, and the caller is not told.
      const told = Object.getOwnPropertyDescriptor(query, 'handleError')
      query.handleError = () => {}
      handle.call(internals, message)
      Reflect.deleteProperty(query, 'handleError')
      if (told) Object.defineProperty(query, 'handleError', told)
      this.#runAgain(query)
      this.#pool.onRerun?.(this.#attempts, message)
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
      this.#forget(name) // The driver may have heard of it since.
    }
    if (this.#taken.has(name)) withoutName(statement)
  }

  /** The server has dropped all of them. */
  forgetAll(): void {
    const { connection } = this.#internals
    connection.parsedStatements = {}
    connection.submittedNamedStatements = {}
    this.#dropped.clear()
    this.#taken.clear()
  }

  /** All of them are to be prepared once more, whether the server knows them or not. */
  dropAll(): void {
    this.#taken.clear()
    for (const name of Object.keys(this.#internals.connection.parsedStatements)) this.#drop(name)
  }

  /** Judges an error from before Bind. Answers whether the statement is to be run again. */
  #judge(query: NamedQuery, message: Error): query is NamedQuery & { name: string } {
    const name = query.name as string
    const known = this.#internals.connection.parsedStatements[name]
    const isTaken = known === undefined && !this.#isParsed && codeOf(message) === NAME_TAKEN
    const stale = known === undefined || this.#isParsed ? undefined : factsOf(codeOf(message)).stale
    if ((!isTaken && !stale) || severityOf(message) === undefined || endsSession(message)) return false
    if (known !== undefined && query.text === undefined) query.text = known
    if (stale === 'statement') this.#drop(name)
    else if (stale) this.dropAll()
    if (stale === 'pool') this.#epoch = ++this.#pool.epoch
    if (isTaken) this.#taken.add(name)
    const isOutside = this.#internals.getTransactionStatus() === 'I'
    const wasRunAgain = this.#cured === query
    const mayRun =
      isOutside && query instanceof Query && query.text !== undefined && this.#rerunner?.isWanted() === true
    // A value may simply be wrong: then it is so in every attempt.
    if (!mayRun && stale !== 'statement') markStale(message)
    this.#cured = query
    this.#attempts = wasRunAgain ? this.#attempts + 1 : 2
    if (isTaken || wasRunAgain) withoutName(query)
    return mayRun
  }

  /** Nothing was executed, so it is run as if for the first time, before anything that stands in line. */
  #runAgain(query: NamedQuery): void {
    const sent = this.#rerunner?.requeued(query)
    Reflect.deleteProperty(query, 'submit') // What was put around it has been told.
    const { submit } = query
    query.submit = (connection) => {
      Reflect.deleteProperty(query, 'submit')
      sent?.()
      return submit.call(query, connection)
    }
    // With a number of rows the driver says Sync when all are there.
    if (query.rows) this.#internals.connection.sync()
    enqueueFirst(this.#internals, query)
  }

  #drop(name: string): void {
    this.#dropped.set(name, this.#internals.connection.parsedStatements[name])
    this.#forget(name)
  }

  #forget(name: string): void {
    const { parsedStatements, submittedNamedStatements } = this.#internals.connection
    delete parsedStatements[name]
    delete submittedNamedStatements[name]
  }

  /** Those who give their statements no names pay nothing. */
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
      // To close what isn't there is no error.
      if (name && this.#dropped.delete(name)) close.call(connection, { type: 'S', name })
      parse.call(connection, statement, ...rest)
    }
    // The driver closes a statement whose values have no text, and believes in it all the same.
    connection.close = (what, ...rest) => {
      if (what.type === 'S' && what.name) this.#dropped.set(what.name, undefined)
      close.call(connection, what, ...rest)
    }
  }
}

function isNamed(query: object | null | undefined): query is NamedQuery & { name: string } {
  return !!(query as NamedQuery | null | undefined)?.name
}

/** Marks an error that only says that a prepared statement was stale: the same work succeeds in another attempt. */
function markStale(error: object): void {
  if (Object.isExtensible(error)) Object.defineProperty(error, STALE_STATEMENT, { value: true })
}

/** As one statement, which a text with values always is, and a name always has. */
function withoutName(statement: Named): void {
  statement.name = undefined
  statement.queryMode = 'extended'
}
