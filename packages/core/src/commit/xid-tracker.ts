import type { Client, QueryResult } from 'pg'
import { type DriverInternals, type DriverQuery, enqueue, internalsOf, queryOf } from '../driver/internals.ts'
import type { Pipeline } from '../driver/pipeline.ts'
import type { StatementKind } from '../sql/statement.ts'
import { codeOf } from '../thrown.ts'
import { digitsIn, numberIn, type Row, rowsIn } from './answer.ts'
import { PROBE, readServer, type ServerIdentity, type TransactionIdentity } from './verdict.ts'

/** What is known of the open transaction: who it is; that it has no id, so wrote nothing; or nothing, and why. */
export type KnownTransaction = TransactionIdentity | 'nothing written' | { readonly unknown: string }

/**
 * Knows the id of an open transaction before its COMMIT can be lost, at no round trip: a probe rides behind each of its
 * statements until one has been told an id, in the same write. An error of a probe would abort the transaction, so a
 * first one rides in front of the first BEGIN, where it can't: only a server that answered that is asked again.
 */
export class XidTracker {
  readonly #gate: Pipeline
  readonly #internals: DriverInternals
  readonly #pool: { isRefused: boolean }
  #trial: 'due' | 'passed' | 'failed' = 'due'
  #server: ServerIdentity | undefined
  /** Behind a pooler of transactions each may be in another session. */
  #isPooled = false
  #identity: TransactionIdentity | undefined
  /** Whether a statement may have written that no probe was sent behind. */
  #hasGaps = false
  #mayWriteLate = false
  /** The next statement is in another transaction, if in any. */
  #hasEnded = false

  constructor(client: Client, gate: Pipeline, pool: { isRefused: boolean }) {
    this.#gate = gate
    this.#pool = pool
    this.#internals = internalsOf(client)
  }

  /** Whether this server can be asked. */
  get isPossible(): boolean {
    return this.#trial === 'passed'
  }

  /** What is known now: of the transaction whose COMMIT was just lost. */
  get known(): KnownTransaction {
    if (this.#trial !== 'passed') return { unknown: "the server can't be asked" }
    if (this.#identity) return this.#identity
    if (this.#hasGaps || this.#mayWriteLate) return { unknown: "the transaction's id isn't known" }
    return 'nothing written'
  }

  /** The session that holds the transaction's locks; behind a pooler only if it is known to be in this transaction. */
  get session(): ServerIdentity | TransactionIdentity | undefined {
    if (this.#trial !== 'passed') return undefined
    return this.#identity ?? (this.#isPooled ? undefined : this.#server)
  }

  /**
   * Before a statement is given to the driver: enqueues what must be asked first. Tells whether it is to be sent early,
   * behind the trial.
   */
  prepare(kind: StatementKind): 'early' | undefined {
    const { isIdle } = this.#gate
    const isInside = this.#isInside()
    if (kind === 'commit' && (isInside || !isIdle) && this.#hasGaps && !this.#identity) this.#enqueueProbe()
    if (kind !== 'begin' || !isIdle || isInside || this.#trial !== 'due' || this.#pool.isRefused) return undefined
    this.#trial = 'failed'
    enqueue(
      this.#internals,
      queryOf(PROBE.whole, (error, result) => this.#judgeTrial(error, result)),
    )
    return 'early'
  }

  /** Whether no transaction is open: a mere statement is none of its business then. */
  get isOutside(): boolean {
    return this.#internals.getTransactionStatus() === 'I'
  }

  /** Whether a probe will ride behind this statement, if it is sent now: then both go in one write. */
  willRide(kind: StatementKind): boolean {
    return this.#isInside() && this.#mustProbe(kind)
  }

  /** A statement has just been written; what the server has said is yet from before. */
  sent(kind: StatementKind): void {
    this.#enter()
    const isInside = this.#isInside()
    if (isInside && this.#mustProbe(kind)) this.#gate.sendEarly(this.#probe())
    this.#note(kind, isInside)
  }

  /** A statement has ended a transaction, or begun one, of which its text said nothing. */
  loseTrack(): void {
    this.#identity = undefined
    this.#hasGaps = true
  }

  #isInside(): boolean {
    return this.#internals.getTransactionStatus() === 'T'
  }

  /** A transaction begins, or goes on. */
  #enter(): void {
    if (!this.#hasEnded && this.#internals.getTransactionStatus() !== 'I') return
    this.#hasEnded = false
    this.#identity = undefined
    this.#hasGaps = false
    this.#mayWriteLate = false
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

  /** In its turn: what is asked next waits for the answer. */
  #enqueueProbe(): void {
    if (this.#trial !== 'passed') return
    this.#hasGaps = false
    enqueue(this.#internals, this.#probe())
  }

  #judgeTrial(error: Error | null, result: QueryResult | undefined): void {
    // Not PostgreSQL, too old, or forbidden: then it is so for all, and each would only have it written to the server's log.
    if (error) this.#pool.isRefused = /^(?:42|0A)/.test(codeOf(error) ?? '')
    if (error) return
    const row = rowsIn(result)?.[0]
    const pid = numberIn(row?.pid)
    if (pid === undefined) return
    this.#trial = 'passed'
    this.#server = readServer(row?.server)
    this.#isPooled = pid !== this.#internals.processID
  }

  #probe(): DriverQuery {
    const sql = this.#server && !this.#isPooled ? PROBE.short : PROBE.whole
    return queryOf(sql, (error, result) => {
      const row = error ? undefined : rowsIn(result)?.[0]
      if (row) this.#learn(row)
      else this.#hasGaps = true
    })
  }

  #learn({ xid, pid, server }: Row): void {
    if (server !== undefined) this.#server = readServer(server)
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

/** Whether a statement may write at once, so that a probe behind it can be told an id. */
function mayWrite(kind: StatementKind): boolean {
  return kind === 'work' || kind === 'both'
}
