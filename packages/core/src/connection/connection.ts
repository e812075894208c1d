import { type CommitSettings, fenceLost, settleCommit } from '../commit/settle.ts'
import type { XidTracker } from '../commit/xid-tracker.ts'
import { clarified } from '../driver/guarded-reading.ts'
import { type DriverInternals, type EndClient, endpointOf, internalsOf } from '../driver/internals.ts'
import { keepListening } from '../driver/kept-listeners.ts'
import { Pipeline } from '../driver/pipeline.ts'
import { type PreparedKnown, PreparedStatements } from '../driver/prepared-statements.ts'
import { type Endpoint, type Loss, lossError, ReleaseError } from '../errors.ts'
import { endsSession, severityOf } from '../policy/classify-error.ts'
import type { LossReach } from '../policy/loss.ts'
import type { TransactionStatus } from '../policy/reset.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { onlyRollsBack } from '../sql/statement.ts'
import { Cancellation, type CancellationParts } from './cancellation.ts'
import type { ClientOwner } from './client-owner.ts'
import { trackXids } from './driver-session.ts'
import { InFlight, type Statement } from './in-flight.ts'
import { lossOrWorst, orDefault, reachOrAll } from './judge-loss.ts'
import { Lease, type LeaseTerms, RELEASED } from './lease.ts'
import { type LeaseOwner, leasedClientFactory, type MakeLeasedClient } from './leased-client.ts'
import { Liveness } from './liveness.ts'
import type { LeasedClient } from './physical-client.ts'
import { type KnownPrimary, ServerRole } from './server-role.ts'
import { SessionClose } from './session-close.ts'
import { type ConnectionState, mayMove } from './state.ts'
import { limitStatement } from './statement-timeout.ts'

/** Whom a connection tells what happens to it. */
export interface ConnectionListener {
  /** Told once, when the connection dies outside `close`. */
  readonly onLost: (connection: Connection, loss: Loss, reach: LossReach) => void
  /** Told at the end of each lease. */
  readonly onReleased: (connection: Connection, discard: Error | boolean | undefined) => void
}

/** What a connection is told by its maker. */
export interface ConnectionSettings extends ConnectionListener {
  readonly clock: Clock
  readonly endClient: EndClient
  readonly stream: CancellationParts['stream']
  readonly pipelined: boolean
  /** See `Endpoint`. */
  readonly hint: string | undefined
  /** The pool's `query_timeout`; `Infinity` for none. */
  readonly queryTimeoutMillis: number
  /** Whether an idle connection lets the process end. */
  readonly allowExitOnIdle: boolean
  /** Whether each lease has a client of its own, or all the same. */
  readonly clientPerLease: boolean
  /** How to find out what became of a lost COMMIT; undefined if nobody wants to know. */
  readonly commits: CommitSettings | undefined
  /** What is known of the servers, shared by the connections of a pool. */
  readonly primary: KnownPrimary
  /** What is known of prepared statements, shared by the connections of a pool. */
  readonly prepared: PreparedKnown
}

/** One session, from the first SYN to the last FIN. Knows its state, its facts, and when it died. */
export class Connection implements ClientOwner, LeaseOwner {
  readonly id: number
  readonly client: LeasedClient
  readonly #settings: ConnectionSettings
  readonly #internals: DriverInternals
  readonly #statements: InFlight
  readonly #farewell: SessionClose
  readonly #lend: MakeLeasedClient
  #state: ConnectionState = 'opening'
  #loss: Loss | undefined
  #isServing = false
  #isEndedByHolder = false
  /** What the server has refused since it last did what it was told: the reason of all that it refused afterwards. */
  #firstFailure: Error | undefined
  readonly liveness: Liveness = new Liveness()
  readonly xidTracker: XidTracker | undefined
  readonly cancellation: Cancellation
  readonly pipeline: Pipeline
  readonly serverRole: ServerRole
  readonly preparedStatements: PreparedStatements

  /** The batch it was opened in: those of an older one are stale. */
  generation = 0
  /** When somebody began to open it. */
  startedAt = 0
  /** When it was ready for its first lease; undefined until then. */
  openedAt: number | undefined = undefined
  expiresAt: number = Number.POSITIVE_INFINITY
  idleSince = 0
  /** Whether another process may hold its socket, too: then it isn't told goodbye. */
  isShared = false
  /** Whether it is being pinged. */
  isPinged = false
  /** The present lease, or the last. */
  readonly lease: Lease = new Lease()

  constructor(id: number, makeClient: (owner: ClientOwner) => LeasedClient, settings: ConnectionSettings) {
    this.id = id
    this.#settings = settings
    this.#statements = new InFlight(settings.pipelined)
    this.client = makeClient(this)
    this.#internals = internalsOf(this.client)
    this.#lend = leasedClientFactory(this.client, settings.clientPerLease)
    this.pipeline = new Pipeline(this.client)
    this.serverRole = new ServerRole(this.#internals, settings.primary, settings.clock)
    const rerunner = settings.pipelined ? undefined : this.#statements
    this.preparedStatements = new PreparedStatements(this.#internals, settings.prepared, rerunner)
    this.xidTracker = settings.commits && trackXids(this.client, this.pipeline, settings.commits)
    this.#farewell = new SessionClose({ ...settings, client: this.client, statements: this.#statements })
    this.cancellation = new Cancellation({
      ...settings,
      client: this.client,
      gate: this.pipeline,
      statements: this.#statements,
      signs: this.liveness,
      end: (statement, reason) => this.end(statement, reason),
      lose: (cause) => this.markLost(cause, 'suspect'),
    })
    this.#listen()
  }

  /**
   * Moves to another state; only an idle one may let the process end. Throws if the table in state.ts has no such move,
   * for that would be our bug.
   */
  move(to: ConnectionState): void {
    if (!mayMove(this.#state, to)) throw new Error(`BUG: connection ${this.id} cannot go from ${this.#state} to ${to}`)
    this.#state = to
    if (!this.#settings.allowExitOnIdle) return
    if (to === 'idle') this.client.unref()
    else this.client.ref()
  }

  // A method and not a getter: TypeScript narrows a getter, and goes on believing it after an await.
  is(state: ConnectionState): boolean {
    return this.#state === state
  }

  /** Whether it has left the pool. */
  isGone(): boolean {
    return this.is('closing') || this.is('closed')
  }

  get state(): ConnectionState {
    return this.#state
  }

  get loss(): Loss | undefined {
    return this.#loss
  }

  get isInUse(): boolean {
    return this.is('leased')
  }

  get isRolledBack(): boolean {
    return this.#loss?.commitOutcome === 'aborted'
  }

  get isLost(): boolean {
    return this.#loss !== undefined
  }

  /** Where it leads to. */
  get endpoint(): Endpoint {
    return endpointOf(this.client, this.#settings.hint)
  }

  get backendPid(): number | null {
    return this.#internals.processID
  }

  get transactionStatus(): TransactionStatus {
    return this.#internals.getTransactionStatus()
  }

  /** Whether the server has answered everything that was sent. */
  get inSync(): boolean {
    return this.#internals.readyForQuery === true && this.#statements.isEmpty && !this.cancellation.isUnderWay
  }

  /** How often it has been leased. */
  get uses(): number {
    return this.lease.number
  }

  /** Lies idle; since when tells how long it may. */
  becomeIdle(since: number): void {
    this.move('idle')
    this.idleSince = since
  }

  /** Is leased from now on. */
  startLease(now: number, terms?: LeaseTerms, askedAt: number = now): void {
    this.move('leased')
    this.lease.begin(now, terms, askedAt)
    this.#statements.settle()
  }

  /** What the caller holds: a client for this lease alone, or the one of all leases with a `release` for this one. */
  clientForLease(): LeasedClient {
    const client = this.#lend(this)
    this.lease.attempt?.leased(this.lease, client.release)
    return client
  }

  endLease(number: number, discard?: Error | boolean): void {
    this.lease.end(number)
    this.#settings.onReleased(this, discard)
  }

  /**
   * Notes that the session is dead, and destroys its socket: there is nobody to say goodbye to. The first cause
   * counts, later ones follow from it. A server that may live is told before to stop its statement.
   */
  markLost(cause: unknown, reach: LossReach = reachOrAll(cause), mayLive = false): void {
    if (this.#loss || this.isGone()) return
    const loss = this.#note(cause)
    if (mayLive) this.#farewell.stop()
    this.destroy()
    fenceLost(loss, this.xidTracker, this.#settings.commits)
    this.#settings.onLost(this, loss, reach)
  }

  /**
   * Says goodbye if the server listens, for `timeoutMillis` at most, and resolves when the socket is closed. Statements
   * that still run are lost, by this cause.
   */
  async close(timeoutMillis: number, cause: unknown): Promise<void> {
    if (!this.#loss && !this.inSync) {
      this.#note(cause)
      this.#farewell.stop()
    }
    this.move('closing')
    const how = this.#isEndedByHolder ? 'wait' : this.isLost || !this.inSync ? 'destroy' : 'polite'
    await this.#farewell.part(how, timeoutMillis)
    this.move('closed')
  }

  /** Ends the socket without a word; as soon as the statement has been told to stop. */
  destroy(): void {
    this.#farewell.destroy()
  }

  /** Lets the socket be: whoever else holds it goes on talking. It keeps no process alive. */
  async abandon(cause: unknown): Promise<void> {
    if (!this.#loss) this.#note(cause)
    this.move('closing')
    this.client.unref()
    this.move('closed')
  }

  /** Lets code of the user's use the client outside a lease, while it runs. */
  async serve(run: () => Promise<void>): Promise<void> {
    this.#isServing = true
    await run().finally(() => {
      this.#isServing = false
    })
  }

  refusal(text?: string): Error | undefined {
    // An ORM that rolls back after a lost COMMIT tells this error in place of the other: it must not read as harmless.
    if (this.#loss) return lossError(this.#loss, this.#loss.phase === 'commit' && onlyRollsBack(text))
    if (this.is('leased') || this.is('opening') || this.#isServing) return undefined
    return new ReleaseError(RELEASED)
  }

  begin(text: string | undefined): Statement {
    if (this.#internals.readyForQuery) this.#statements.settle()
    return this.#statements.begin(text, this.liveness.mark)
  }

  end(statement: Statement, error?: Error): void {
    this.#statements.end(statement, error ? 'failed' : 'answered', !this.isLost)
    this.#remember(error)
    if (error) this.serverRole.judge(error)
    this.lease.hasWorked = true
    // What the driver itself refused says nothing of the server.
    const hasAnswered = !this.isLost && (!error || severityOf(error) !== undefined)
    if (hasAnswered) this.liveness.answered(this.#settings.clock.now(), statement.mark)
  }

  explain(error: Error, statement: Statement): Error {
    return this.#loss ? lossError(this.#loss, statement.sent) : error
  }

  get firstFailure(): Error | undefined {
    return this.#firstFailure
  }

  outcomeOf(commit: Statement): Promise<boolean> | undefined {
    const { commits, clock } = this.#settings
    if (!commits || !this.xidTracker || this.#loss?.phase !== 'commit') return undefined
    // If this one wasn't sent, something that was sent before it may have committed.
    if (!commit.sent) return undefined
    return settleCommit(this, this.#loss, this.xidTracker.known, commits, clock).then(({ isCommitted, loss }) => {
      this.#loss = loss
      this.lease.attempt?.noteLoss(this.lease, loss.commitOutcome === 'unknown')
      if (isCommitted) this.lease.attempt?.noteCommit(this.lease)
      return isCommitted
    })
  }

  limit(timeoutMillis: number | undefined, isCommit = false): Cancel | undefined {
    const isFindable = isCommit && this.xidTracker?.isPossible === true
    return limitStatement(this.#settings, timeoutMillis, isFindable, (late) => this.markLost(late, 'suspect', true))
  }

  abort(statement: Statement, reason: Error): void {
    this.cancellation.abort(statement, reason)
  }

  endedByHolder(): void {
    if (this.#loss || this.isGone()) return
    this.#isEndedByHolder = true
    const loss = this.#note(new Error('The client was ended by its holder'))
    if (!this.#settings.pipelined) this.#farewell.stop() // There the driver waits for what was sent.
    this.#settings.onLost(this, loss, 'own')
  }

  #remember(error: Error | undefined): void {
    if (!error) this.#firstFailure = undefined
    else if (severityOf(error) !== undefined) this.#firstFailure ??= error
  }

  #note(cause: unknown): Loss {
    // What has failed in a transaction that had failed before has done nothing.
    if (this.#internals.readyForQuery || this.transactionStatus === 'E') this.#statements.settle()
    const use = {
      status: this.transactionStatus,
      underWay: this.#statements.sentTexts(),
      hasWorked: this.lease.hasWorked,
    }
    const isInUse = this.is('opening') || this.is('leased') || this.is('resetting')
    this.#loss = lossOrWorst(isInUse ? use : undefined, cause, this.serverRole.hasLostPrimary(cause))
    this.lease.attempt?.noteLoss(this.lease, this.#loss.commitOutcome === 'unknown')
    return this.#loss
  }

  #listen(): void {
    // Before the driver's own listener, so that a statement which fails of FATAL is already known to be lost.
    const hear = (error: Error): void => {
      if (orDefault(() => endsSession(clarified(error)) || this.serverRole.hasLostPrimary(error), false))
        this.markLost(error)
    }
    keepListening(this.#internals.connection, 'errorMessage', hear, 'first')
  }
}
