import { type Client, Query } from 'pg'
import { mayChangeSearchPath } from '../sql/statement.ts'
import { propertyOf } from '../thrown.ts'
import { AdmittedNames } from './admitted-names.ts'
import { markQuestion } from './answer-so-far.ts'
import { EnclosedQuery } from './enclosed-query.ts'
import type { FrequentText, FrequentTexts } from './frequent-texts.ts'
import { type DriverInternals, type DriverQuery, internalsOf } from './internals.ts'
import { keepListening } from './kept-listeners.ts'
import { type Pipeline, type Question, queryOf, whenSent } from './pipeline.ts'
import type { Named, PreparedKnown, PreparedStatements, Rerunner } from './prepared-statements.ts'
import type { DriverSession } from './session.ts'

/** The driver's own statement, as it waits to be sent. */
interface WaitingQuery extends DriverQuery, Named {
  readonly values?: unknown
  readonly rows?: number
  readonly types?: unknown
}

/** What automatic names need of their session. */
export interface NamedSession {
  readonly client: Client
  readonly session: DriverSession
  readonly pipeline: Pipeline
  readonly preparedStatements: PreparedStatements
  /** What the connection knows of the statements that haven't ended. */
  readonly statements: { readonly inFlight: Rerunner }
}

/** SET and set_config are short. */
const LONGEST_SETTING = 500
const WHO_SERVES = 'select pg_catalog.pg_backend_pid()::text as pid'

// What the server says where it finds a prepared statement stale, or doesn't find it.
const CHANGED = 'RevalidateCachedQuery'
const MISSING = 'FetchPreparedStatement'

/** The first letters of the command tags that matter. */
const [A, C, D, R] = ['A', 'C', 'D', 'R'].map((letter) => letter.charCodeAt(0))
// Programs create temporary tables all the time. Such a table may take the place of another one, in this session alone.
const SHADOWS = /^CREATE (?:TABLE|INDEX|SEQUENCE)\b/
const CHANGES = /^(?:CREATE|ALTER|DROP)\b/

/** Settings by which the server reads a text when it prepares it: names of tables, and literals such as `'2026-01-31'`. */
const READING: ReadonlySet<string> = new Set([
  'search_path', // Reported since version 18.
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'standard_conforming_strings',
])

/** What makes prepared statements stale: settings of the session, its own tables, or those of all sessions. */
type Change = 'settings' | 'session' | 'pool'
const REACH: Record<Change, number> = { settings: 1, session: 2, pool: 3 }

/** The settings of a session by which the server reads a text. */
class ReadingSettings {
  /** Whether the application has set the search path, which old servers don't report. */
  hasSetSearchPath = false
  /** What the server has reported, now and when the session was last outside of a transaction. */
  readonly #now = new Map<string, string>()
  #outside = new Map<string, string>()

  /** The server has reported a setting. Returns whether it matters. */
  reported(name: string, value: string): boolean {
    const matters = READING.has(name)
    if (matters) this.#now.set(name, value)
    return matters
  }

  /** Whether they are other ones than before the transaction: SET LOCAL and ROLLBACK leave them as they were. */
  haveChanged(): boolean {
    const [now, before] = [this.#now, this.#outside]
    const isReported = now.has('search_path')
    const isSame = now.size === before.size && [...now].every(([name, value]) => before.get(name) === value)
    if (!isSame) this.#outside = new Map(now)
    return !isSame || (!isReported && this.hasSetSearchPath)
  }
}

/**
 * Names the frequent statements of a session, so that the server plans them once. The name is given when the driver sends the
 * statement: only then is it known what exactly is sent, and whether it is in a transaction. What becomes stale is the
 * business of `PreparedStatements`, as with names that the application gives.
 */
export class AutomaticNames {
  readonly #texts: FrequentTexts
  readonly #pool: PreparedKnown
  readonly #session: DriverSession
  readonly #prepared: PreparedStatements
  readonly #rerunner: Rerunner
  readonly #internals: DriverInternals
  readonly #names: AdmittedNames
  /** The statement with values that the server executes, if it is one that may be prepared. */
  #running: FrequentText | undefined
  #isNamed = false
  #isEnclosed = false
  #sentAt = 0
  /** Those that were sent behind it, in their order. */
  readonly #behind: { readonly known: FrequentText | undefined; readonly isNamed: boolean }[] = []
  /** What has changed since the session was last outside of a transaction. */
  #change: Change | undefined
  readonly #settings = new ReadingSettings()
  /** Whether the server was asked which process serves the session. */
  #isAsked = false

  constructor(
    { client, session, pipeline, preparedStatements, statements }: NamedSession,
    texts: FrequentTexts,
    pool: PreparedKnown,
  ) {
    const internals = internalsOf(client)
    this.#texts = texts
    this.#pool = pool
    this.#session = session
    this.#prepared = preparedStatements
    this.#rerunner = statements.inFlight
    this.#internals = internals
    this.#names = new AdmittedNames(texts, (name) => preparedStatements.closeLater(name))
    pipeline.onNext = (query) => this.#next(query as WaitingQuery)
    pipeline.onFollow = (query) => this.#follows(query as WaitingQuery)
    const { connection } = internals
    // Before the driver's listeners, which may send the next statement.
    keepListening(connection, 'readyForQuery', (message) => this.#ready(message?.status), 'first')
    keepListening(connection, 'errorMessage', (error) => this.#failed(error), 'first')
    keepListening(connection, 'commandComplete', (message) => this.#completed(String(message?.text)), 'first')
    session.onParameter((name, value) => {
      if (this.#settings.reported(name, value)) this.#note('settings')
    })
  }

  /** The driver is about to send a statement. Returns what is to be asked before. */
  #next(query: WaitingQuery): Question | undefined {
    return query instanceof EnclosedQuery
      ? this.#nextStatement(query.statement, true)
      : this.#nextStatement(query, false)
  }

  /** `isEnclosed`: it goes into one write with the BEGIN of its transaction, so that nothing can be asked before it. */
  #nextStatement(query: WaitingQuery, isEnclosed: boolean): Question | undefined {
    const { text } = query
    if (typeof text !== 'string' || Object.getPrototypeOf(query) !== Query.prototype) return undefined
    const { values } = query
    if (!Array.isArray(values) || values.length === 0) {
      this.#sendsText(text)
      return undefined
    }
    const known = this.#texts.count(text)
    if (!known) return undefined
    if (known.changesSearchPath) this.#noteSearchPath()
    // A name is the application's, or `prepare: false` was given. An array of types would make it another statement.
    if (query.name || query.queryMode === 'extended' || query.rows || Array.isArray(query.types)) return undefined
    if (this.#mayBeNamed(known, isEnclosed)) {
      if (!isEnclosed && this.#mustAsk()) return this.#askBefore(query)
      this.#nameIfAdmitted(known, query)
    }
    this.#running = known
    this.#isNamed = query.name !== undefined
    this.#isEnclosed = isEnclosed
    this.#sentAt = this.#texts.clock.now()
    return undefined
  }

  /**
   * A statement is sent behind others that are in flight. It gets no name whose Parse is on its way: if that fails, the server
   * wouldn't know the name.
   */
  #follows(query: WaitingQuery): void {
    const known = this.#countOf(query)
    if (known && this.#mayBeNamed(known, false) && !this.#isOnItsWay(known)) this.#nameIfAdmitted(known, query)
    this.#behind.push({ known, isNamed: known !== undefined && query.name !== undefined })
  }

  #nameIfAdmitted(known: FrequentText, query: WaitingQuery): void {
    if (this.#isTrusted && !known.guard.wantsUnnamed && this.#names.admit(known.name)) this.#name(known, query)
  }

  #isOnItsWay(known: FrequentText): boolean {
    if (this.#internals.connection.parsedStatements[known.name] !== undefined) return false
    if (this.#running === known && this.#isNamed) return true
    return this.#behind.some((each) => each.known === known && each.isNamed)
  }

  /** What is known of the text of a statement that may be named; undefined if it may not. */
  #countOf({ text, values, name, queryMode, rows, types }: WaitingQuery): FrequentText | undefined {
    if (typeof text !== 'string' || !Array.isArray(values) || values.length === 0) return undefined
    const known = this.#texts.count(text)
    return name || queryMode === 'extended' || rows || Array.isArray(types) ? undefined : known
  }

  #mayBeNamed({ where }: FrequentText, isEnclosed: boolean): boolean {
    if (where === 'nowhere' || this.#texts.isOff) return false
    const status = this.#internals.getTransactionStatus()
    const isInside = isEnclosed || status === 'T'
    return isInside ? where === 'anywhere' && !this.#change : status === 'I'
  }

  /** Whether names may be used in this session. */
  get #isTrusted(): boolean {
    return !this.#texts.settings.needsProof || this.#session.isDirect === true
  }

  #name({ name }: FrequentText, query: WaitingQuery): void {
    query.name = name
    this.#prepared.use(query)
    if (query.name === undefined) this.#names.delete(name)
    else this.#texts.counts.prepared++
  }

  /** Whether the server is to be asked who serves the session. In a transaction that question would be part of it. */
  #mustAsk(): boolean {
    const { settings, sessions } = this.#texts
    const { isDirect, hasToldProcess } = this.#session
    if (!settings.needsProof || isDirect === false || hasToldProcess || this.#isAsked) return false
    return (sessions === 'unknown' || sessions === 'direct') && this.#internals.getTransactionStatus() === 'I'
  }

  /**
   * Asks which process serves the session. Through a pooler this is another one than the one that the login has named. Where
   * another session of the pool has shown that there is no pooler, or the pool was told so, the question goes into the same
   * write as the statement.
   * The first one takes a round trip: a pooler may mix up what is sent at once.
   */
  #askBefore(query: WaitingQuery): Question {
    const texts = this.#texts
    const isInOneWrite = texts.sessions === 'direct' || this.#session.isDirect === true
    this.#isAsked = true
    if (!isInOneWrite) {
      texts.sessions = 'asked'
      const sent = this.#rerunner.requeued(query)
      whenSent(query, (submit) => {
        sent()
        return submit()
      })
    }
    const question = queryOf(WHO_SERVES, (error, result) => {
      if (!error) this.#session.servedBy(propertyOf(result?.rows?.[0], 'pid'))
      const { isDirect } = this.#session
      // An error may belong to this session alone. An answer without a process comes from no PostgreSQL.
      if (isDirect === false || !(error || isDirect)) texts.sessions = 'pooled'
      else if (texts.sessions === 'asked') texts.sessions = isDirect ? 'direct' : 'unknown'
    })
    return { query: markQuestion(question), isInOneWrite }
  }

  /** A text without values is on its way. */
  #sendsText(text: string): void {
    if (!this.#names.isEmpty && text.length <= LONGEST_SETTING && mayChangeSearchPath(text)) this.#noteSearchPath()
  }

  #noteSearchPath(): void {
    this.#settings.hasSetSearchPath = true
    this.#note('settings')
  }

  #note(change: Change): void {
    if (!this.#change || REACH[change] > REACH[this.#change]) this.#change = change
  }

  #completed(tag: string): void {
    switch (tag.charCodeAt(0)) {
      case A:
      case C:
      case D:
      case R:
        this.#judge(tag)
    }
  }

  #judge(tag: string): void {
    if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') {
      this.#names.clear()
      this.#prepared.forgetAll()
    } else if (tag === 'RESET') {
      if (this.#settings.hasSetSearchPath) this.#note('settings')
    } else if (SHADOWS.test(tag)) this.#note('session')
    else if (CHANGES.test(tag)) this.#note('pool')
  }

  #failed(error: unknown): void {
    const known = this.#running
    this.#running = undefined
    if (!known || !this.#isNamed) return
    const { connection } = this.#internals
    const routine = propertyOf(error, 'routine')
    if (connection.parsedStatements[known.name] === undefined) this.#names.delete(known.name)
    else if (routine === CHANGED)
      this.#texts.noteChange(known, !this.#isEnclosed && this.#internals.getTransactionStatus() === 'I')
    else if (routine === MISSING) this.#texts.noteLost()
  }

  #ready(status: unknown): void {
    const running = this.#running
    if (running) {
      this.#running = undefined
      const comparison = running.guard.took(this.#texts.clock.now() - this.#sentAt, this.#isNamed)
      if (comparison) this.#texts.stopSlow(running, comparison)
    }
    if (this.#behind.length > 0) this.#nextRuns()
    if (this.#change && status === 'I') this.#applyChange(this.#change)
  }

  #nextRuns(): void {
    const next = this.#behind.shift()
    this.#running = next?.known
    this.#isNamed = next?.isNamed === true
    this.#isEnclosed = false
    this.#sentAt = this.#texts.clock.now()
  }

  /** What has changed is in force: every statement is prepared again when it is next used. */
  #applyChange(change: Change): void {
    this.#change = undefined
    const isOther = this.#settings.haveChanged()
    if (change === 'pool') this.#pool.epoch++
    if (change === 'session' || isOther) this.#prepared.dropAll()
  }
}
