import type { XidTracker } from '../commit/xid-tracker.ts'
import { AnswersSoFar } from '../driver/answer-so-far.ts'
import { clarified } from '../driver/guarded-reading.ts'
import { Pipeline } from '../driver/pipeline.ts'
import { PreparedStatements } from '../driver/prepared-statements.ts'
import { DriverSession } from '../driver/session.ts'
import { type Endpoint, type Loss, lossError, ReleaseError } from '../errors.ts'
import type { Candidate } from '../options/hosts.ts'
import { endsSession } from '../policy/classify-error.ts'
import type { LossReach } from '../policy/reach.ts'
import type { TransactionStatus } from '../policy/reset.ts'
import { onlyRollsBack } from '../sql/statement.ts'
import { Cancellation } from './cancellation.ts'
import type { ClientOwner } from './client-owner.ts'
import type { ConnectionSettings } from './connection-settings.ts'
import type { FailedCall } from './first-call.ts'
import { Lease, type LeaseTerms, RELEASED } from './lease.ts'
import type { LeaseOwner } from './leased-client.ts'
import { leasedClientFactory, type MakeLeasedClient } from './leased-client-factory.ts'
import { Liveness } from './liveness.ts'
import { LossRecord, orDefault, reachOrAll } from './loss-record.ts'
import type { LeasedClient } from './physical-client.ts'
import { RoleCheck } from './role-check.ts'
import { ServerRole } from './server-role.ts'
import { SessionClose } from './session-close.ts'
import { SessionFitness } from './session-fitness.ts'
import { type ConnectionState, mayMove } from './state.ts'
import type { Statement } from './statements.ts'
import { type StatementOwner, Statements } from './statements.ts'
import { trackXids } from './tracked-session.ts'

/** Who is told what happens to a connection. */
export interface ConnectionListener {
  /** Called once, when the connection dies outside `close`. */
  onLost(connection: Connection, loss: Loss, reach: LossReach): void
  /** Called at the end of each lease. */
  onReleased(connection: Connection, discard: Error | boolean | undefined): void
  /** Called when the first statement of a caller's lease has failed. Returns whether it runs again, on another connection. */
  onFirstFailed(connection: Connection, failed: FailedCall): boolean
}

/** One session, from the first SYN to the last FIN: its state, its lease, and its loss. */
export class Connection implements ClientOwner, LeaseOwner, StatementOwner {
  readonly id: number
  readonly client: LeasedClient
  readonly session: DriverSession
  readonly answers: AnswersSoFar
  /** The present lease, or the last. */
  readonly lease: Lease
  readonly liveness: Liveness = new Liveness()
  readonly statements: Statements
  readonly pipeline: Pipeline
  readonly preparedStatements: PreparedStatements
  readonly cancellation: Cancellation
  readonly serverRole: ServerRole
  readonly roleCheck: RoleCheck
  readonly fitness: SessionFitness
  readonly xidTracker: XidTracker | undefined
  readonly #settings: ConnectionSettings
  readonly #listener: ConnectionListener
  readonly #lossRecord: LossRecord
  readonly #sessionClose: SessionClose
  readonly #makeLeasedClient: MakeLeasedClient
  #state: ConnectionState = 'opening'
  #isUsableUnleased = false
  #isEndedByCaller = false

  /** Which batch it was opened in: a new one begins with each invalidation, and whenever all become suspects. */
  generation = 0
  /** The host that it leads to, if the pool looks for one that suits. */
  candidate: Candidate | undefined = undefined
  /** When opening it began. */
  startedAt = 0
  /** When it was ready for its first lease; undefined until then. */
  openedAt: number | undefined = undefined
  expiresAt: number = Number.POSITIVE_INFINITY
  idleSince = 0
  /** Whether another process may have its socket, too. Then no Terminate is sent. */
  isShared = false
  /** Whether it is being pinged. */
  isPinged = false

  constructor(
    id: number,
    makeClient: (owner: ClientOwner) => LeasedClient,
    settings: ConnectionSettings,
    listener: ConnectionListener,
  ) {
    this.id = id
    this.lease = new Lease((failed) => listener.onFirstFailed(this, failed))
    this.#settings = settings
    this.#listener = listener
    this.statements = new Statements(this, settings)
    this.#lossRecord = new LossRecord(this, settings)
    this.client = makeClient(this)
    this.session = new DriverSession(this.client, settings.pooler)
    this.answers = new AnswersSoFar(this.client)
    this.#makeLeasedClient = leasedClientFactory(this.client, settings.clientPerLease)
    this.pipeline = new Pipeline(this.client)
    this.serverRole = new ServerRole(this.session, settings.primary, settings.clock)
    this.roleCheck = new RoleCheck(this, settings)
    this.fitness = new SessionFitness(this.session, settings.primary.sessionDefaults, settings.clock)
    const { inFlight } = this.statements
    const rerunner = settings.pipelined ? undefined : inFlight
    this.preparedStatements = new PreparedStatements(this.client, settings.prepared, rerunner)
    this.xidTracker = settings.commits && trackXids(this, settings.commits)
    const { client, session } = this
    this.#sessionClose = new SessionClose({ ...settings, client, session, inFlight })
    this.cancellation = new Cancellation(this, settings)
    this.#watchForFatalErrors()
  }

  /**
   * Moves to another state. Only an idle connection may let the process end.
   *
   * @throws if the table in state.ts doesn't have this move: that is a bug of ours.
   */
  move(to: ConnectionState): void {
    if (!mayMove(this.#state, to)) throw new Error(`BUG: connection ${this.id} cannot go from ${this.#state} to ${to}`)
    this.#state = to
    if (!this.#settings.allowExitOnIdle) return
    if (to === 'idle') this.client.unref()
    else this.client.ref()
  }

  // A method and not a getter: TypeScript would narrow a getter, and keep that across an `await`.
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
    return this.#lossRecord.loss
  }

  get isLost(): boolean {
    return this.#lossRecord.loss !== undefined
  }

  get isLeased(): boolean {
    return this.is('leased')
  }

  get mayEnclose(): boolean {
    return !this.#settings.pipelined && this.session.transactionStatus === 'I' && this.pipeline.isIdle
  }

  get isClientShared(): boolean {
    return !this.#settings.clientPerLease
  }

  get isRolledBack(): boolean {
    return this.#lossRecord.loss?.commitOutcome === 'aborted'
  }

  /** Where it leads to. */
  get endpoint(): Endpoint {
    return this.session.endpoint(this.#settings.hint)
  }

  get backendPid(): number | null {
    return this.session.backendPid
  }

  get transactionStatus(): TransactionStatus {
    return this.session.transactionStatus
  }

  /** Whether the server has answered everything that was sent. */
  get inSync(): boolean {
    return this.session.isReady && this.statements.inFlight.isEmpty && !this.cancellation.isUnderWay
  }

  /** How many leases it has had. */
  get uses(): number {
    return this.lease.number
  }

  becomeIdle(since: number): void {
    this.move('idle')
    this.idleSince = since
  }

  startLease(now: number, terms?: LeaseTerms, askedAt: number = now): void {
    this.move('leased')
    this.lease.begin(now, terms, askedAt)
    this.statements.inFlight.forgetFailed()
  }

  /** What the caller gets: a client for this lease alone, or the client of all leases with a `release` for this one. */
  clientForLease(): LeasedClient {
    const client = this.#makeLeasedClient(this)
    this.lease.attempt?.noteLease(this.lease, client.release)
    return client
  }

  endLease(number: number, discard?: Error | boolean): void {
    this.lease.end(number)
    this.#listener.onReleased(this, discard)
  }

  /**
   * Marks the session dead, and destroys its socket. The first cause counts, since later ones follow from it. `mayLive`: the
   * server may still execute the statement, and is told to stop before.
   */
  markLost(cause: unknown, reach: LossReach = reachOrAll(cause, this.liveness), mayLive = false): void {
    if (this.isLost || this.isGone()) return
    const loss = this.#recordLoss(cause)
    this.lease.holdListeners()
    if (mayLive) this.#sessionClose.stopStatement()
    this.destroy()
    this.#lossRecord.fence(loss)
    this.#listener.onLost(this, loss, reach)
  }

  markEndedByCaller(): void {
    if (this.isLost || this.isGone()) return
    this.#isEndedByCaller = true
    const loss = this.#recordLoss(new Error('The client was ended by its holder'))
    if (!this.#settings.pipelined) this.#sessionClose.stopStatement() // A pipelining driver waits for what was sent.
    this.#listener.onLost(this, loss, 'own')
  }

  /**
   * Sends Terminate if the server listens, waits `timeoutMillis` at most, and resolves when the socket is closed. Statements
   * that still run are lost by this cause.
   */
  async close(timeoutMillis: number, cause: unknown): Promise<void> {
    if (!this.isLost && !this.inSync) {
      this.#recordLoss(cause)
      this.#sessionClose.stopStatement()
    }
    this.move('closing')
    const how = this.#isEndedByCaller ? 'wait' : this.isLost || !this.inSync ? 'destroy' : 'terminate'
    await this.#sessionClose.close(how, timeoutMillis)
    this.move('closed')
  }

  /** Destroys the socket: at once, or when the server has been told to stop a statement. */
  destroy(): void {
    this.#sessionClose.destroy()
  }

  /** Leaves the socket open for another process that has it. It doesn't keep this process alive. */
  async abandon(cause: unknown): Promise<void> {
    if (!this.isLost) this.#recordLoss(cause)
    this.move('closing')
    this.client.unref()
    this.move('closed')
  }

  /** Lets a function of the user's use the client outside a lease, while it runs. */
  async runUserHook(run: () => Promise<void>): Promise<void> {
    this.#isUsableUnleased = true
    await run().finally(() => {
      this.#isUsableUnleased = false
    })
  }

  refusal(text?: string): Error | undefined {
    // After a lost COMMIT, an ORM rolls back and reports the error of ROLLBACK: it must tell of the lost COMMIT, too.
    const { loss } = this
    if (loss) return lossError(loss, loss.phase === 'commit' && onlyRollsBack(text))
    if (this.is('leased') || this.is('opening') || this.#isUsableUnleased) return undefined
    return new ReleaseError(RELEASED)
  }

  resolveCommit(commit: Statement): Promise<boolean> | undefined {
    return this.#lossRecord.resolveCommit(this, commit)
  }

  #recordLoss(cause: unknown): Loss {
    return this.#lossRecord.record(cause, this.is('opening') || this.is('leased') || this.is('resetting'))
  }

  /** A statement that fails with FATAL is told as lost: this runs before the driver tells it. */
  #watchForFatalErrors(): void {
    this.session.onServerError((error) => {
      if (orDefault(() => endsSession(clarified(error)) || this.serverRole.isPrimaryLost(error), false))
        this.markLost(error)
    })
  }
}
