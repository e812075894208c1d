import type { TransactionStatus } from '../policy/reset.ts'
import type { StatementKind } from '../sql/statement.ts'
import { codeOf } from '../thrown.ts'
import { digitsIn, numberIn, PROBE, type Row, readServer, rowsIn } from './server-report.ts'
import type { ServerIdentity, TransactionIdentity } from './verdict.ts'

// invalid_sql_statement_name, duplicate_prepared_statement
const STATEMENT_CODES: ReadonlySet<unknown> = new Set(['26000', '42P05'])

/** What is known of the open transaction: its identity; that it has no id, so wrote nothing; or nothing, and why. */
export type KnownTransaction = TransactionIdentity | 'nothing written' | { readonly unknown: string }

/** Called with the answer to a probe, or the error that came instead. */
export type Answered = (error: Error | null, result?: unknown) => void

/** A question for the id of the open transaction. */
export interface Probe {
  readonly sql: string
  /** Whether it is prepared in its session: that one doesn't ask for the server. */
  readonly isPrepared: boolean
  readonly answered: Answered
}

/** The session whose transactions are tracked. */
export interface TrackedSession {
  /** As the server last said: idle, in a transaction, in a failed one. */
  readonly transactionStatus: TransactionStatus
  /** As the protocol names it at the login. */
  readonly backendPid: number | null
  /** Takes note of the process that serves it, by the server's word. */
  servedBy?(pid: number | undefined): void
  /** Whether the server has answered everything, so that a probe that is enqueued now is sent now. */
  readonly isIdle: boolean
  /** Sends a probe when everything before it is answered. */
  enqueue(sql: string, answered: Answered): void
  /** Sends a probe at once, behind the statement that was just sent. */
  sendBehind(probe: Probe): void
}

/** What is known of probes, shared by the connections of a pool. */
export interface KnownOfProbes {
  /** Whether the server has refused to tell the ids of its transactions to any connection of the pool. */
  isRefused: boolean
  /** Whether probes may be prepared: sessions keep their prepared statements. */
  arePrepared: boolean
}

/**
 * Knows the id of an open transaction before its COMMIT can be lost, without a round trip of its own: a probe that asks for
 * the id is written together with each statement of the transaction, behind it, until an answer contains one.
 *
 * A probe that fails would abort the transaction. So the first one of a session is sent in front of its first BEGIN, where it
 * can abort nothing. A server that doesn't answer it gets no further probes.
 */
export class XidTracker {
  readonly #session: TrackedSession
  readonly #pool: KnownOfProbes
  #trial: 'due' | 'passed' | 'failed' = 'due'
  #server: ServerIdentity | undefined
  /** Behind a pooler each transaction may be in another session. */
  #isPooled = false
  #identity: TransactionIdentity | undefined
  /** Whether a statement may have written without a probe behind it. */
  #hasGaps = false
  #mayWriteLate = false
  /** Whether the next statement is outside of the transaction that was tracked. */
  #hasEnded = false
  #spoiltBy: Error | undefined

  constructor(session: TrackedSession, pool: KnownOfProbes) {
    this.#session = session
    this.#pool = pool
  }

  /** Whether this server can be asked. */
  get isPossible(): boolean {
    return this.#trial === 'passed'
  }

  /** What is known now; after a loss, of the transaction whose COMMIT was lost. */
  get known(): KnownTransaction {
    if (this.#trial !== 'passed') return { unknown: "the server can't be asked" }
    if (this.#identity) return this.#identity
    if (this.#hasGaps || this.#mayWriteLate) return { unknown: "the transaction's id isn't known" }
    return 'nothing written'
  }

  /** The error of a probe, which has aborted the open transaction; undefined if none has. */
  get spoiltBy(): Error | undefined {
    return this.#spoiltBy
  }

  /** The session that holds the transaction's locks; behind a pooler only if it is known to be in this transaction. */
  get session(): ServerIdentity | TransactionIdentity | undefined {
    if (this.#trial !== 'passed') return undefined
    return this.#identity ?? (this.#isPooled ? undefined : this.#server)
  }

  /**
   * Called before a statement is given to the driver: enqueues what must be asked before it. Returns `early` if the
   * statement is to be sent together with the first probe, without waiting for its answer.
   */
  prepare(kind: StatementKind): 'early' | undefined {
    const { isIdle } = this.#session
    const isInside = this.#isInside()
    if (kind === 'commit' && (isInside || !isIdle) && this.#hasGaps && !this.#identity) this.#enqueueProbe()
    if (kind !== 'begin' || !isIdle || isInside || this.#trial !== 'due' || this.#pool.isRefused) return undefined
    this.#trial = 'failed'
    this.#session.enqueue(PROBE.withServer, this.#judgeTrial)
    return 'early'
  }

  /** Whether no transaction is open. Then a statement that begins none needs no tracking. */
  get isOutside(): boolean {
    return this.#session.transactionStatus === 'I'
  }

  /** Whether a probe would go behind this statement if it were sent now: then one write takes both. */
  willProbe(kind: StatementKind): boolean {
    return this.#isInside() && this.#mustProbe(kind)
  }

  /** Called when a statement has just been written. The transaction status is still the one from before it. */
  sent(kind: StatementKind): void {
    this.#enter()
    const isInside = this.#isInside()
    if (isInside && this.#mustProbe(kind)) this.#session.sendBehind(this.#probe())
    this.#note(kind, isInside)
  }

  /** The probe that can go behind a statement in the write that begins its transaction; undefined where it might fail. */
  probeForEnclosed(): Probe | undefined {
    return this.#trial === 'passed' ? this.#probe() : undefined
  }

  /** Called when a statement has been written behind its BEGIN, in the same write. */
  sentEnclosed(kind: StatementKind, isProbed: boolean): void {
    this.#note(kind, true)
    if (mayWrite(kind) && !isProbed) this.#hasGaps = true
  }

  /** A statement has ended a transaction, or begun one, although its text did not say so. */
  loseTrack(): void {
    this.#identity = undefined
    this.#hasGaps = true
  }

  #isInside(): boolean {
    return this.#session.transactionStatus === 'T'
  }

  /** Forgets the transaction before, if this statement is not in it. */
  #enter(): void {
    if (!this.#hasEnded && this.#session.transactionStatus !== 'I') return
    this.#hasEnded = false
    this.#identity = undefined
    this.#hasGaps = false
    this.#mayWriteLate = false
    this.#spoiltBy = undefined
  }

  #mustProbe(kind: StatementKind): boolean {
    return this.#trial === 'passed' && mayWrite(kind) && !this.#identity
  }

  #note(kind: StatementKind, isInside: boolean): void {
    if (kind === 'commit' || kind === 'rollback') this.#hasEnded = true
    if (kind === 'late' || kind === 'both' || kind === 'hidden') this.#mayWriteLate = true
    if (kind === 'opaque' || kind === 'hidden') {
      // It may have ended this transaction, and begun another.
      this.loseTrack()
    } else if (mayWrite(kind) && isInside && this.#trial !== 'passed') this.#hasGaps = true
  }

  #probe(): Probe {
    const sql = this.#probeText()
    return { sql, isPrepared: this.#pool.arePrepared && sql === PROBE.withoutServer, answered: this.#answered }
  }

  /** Sends a probe in its turn: what is sent next waits for the answer. */
  #enqueueProbe(): void {
    if (this.#trial !== 'passed') return
    this.#hasGaps = false
    this.#session.enqueue(this.#probeText(), this.#answered)
  }

  #probeText(): string {
    return this.#server && !this.#isPooled ? PROBE.withoutServer : PROBE.withServer
  }

  readonly #judgeTrial: Answered = (error, result) => {
    // Not PostgreSQL, too old, or forbidden. That holds for every connection, and each refusal is an entry in the server's
    // log, so the pool asks no more.
    if (error) this.#pool.isRefused = /^(?:42|0A)/.test(codeOf(error) ?? '')
    if (error) return
    const row = rowsIn(result)?.[0]
    const pid = numberIn(row?.pid)
    if (pid === undefined) return
    this.#trial = 'passed'
    this.#server = readServer(row?.server)
    this.#isPooled = pid !== this.#session.backendPid
    this.#session.servedBy?.(pid)
  }

  readonly #answered: Answered = (error, result) => {
    const row = error ? undefined : rowsIn(result)?.[0]
    if (row) this.#learn(row)
    else this.#hasGaps = true
    if (error && STATEMENT_CODES.has(codeOf(error))) {
      // A function of the application has dropped the session's prepared statements, and may do so again.
      this.#pool.arePrepared = false
      this.#spoiltBy = error
    }
  }

  #learn({ xid, pid, server }: Row): void {
    if (server !== undefined) this.#server = readServer(server)
    if (this.#isPooled) this.#session.servedBy?.(numberIn(pid))
    if (xid === null) return
    const transactionId = digitsIn(xid)
    if (transactionId && this.#server && this.#server.backendPid === numberIn(pid))
      this.#identity = { ...this.#server, transactionId }
    else {
      this.#isPooled = true
      this.#hasGaps = true
    }
  }
}

/** Whether a statement may write at once, so that the answer to a probe behind it may contain an id. */
function mayWrite(kind: StatementKind): boolean {
  return kind === 'work' || kind === 'both'
}
