import type { ModelSession } from './session.ts'
import type { SessionCondition } from './sql.ts'
import type { ModelTransaction } from './transaction.ts'
import type { Row } from './wire.ts'

/** How a server goes down and ends all of its sessions. */
export type Outage = 'crash of a session' | 'immediate restart' | 'fast restart' | 'failover'

type TransactionStatus = 'in progress' | 'committed' | 'aborted'

const FIRST_ID = 700n

/**
 * A small and correct PostgreSQL: transaction ids and their outcomes, sessions, and the server's identity. After a crash it
 * uses ids again that had left no trace on disk, and it uses pids again as soon as possible.
 */
export class ModelServer {
  /** The rows that were committed, in order, each with its transaction. */
  readonly rows: { readonly label: string; readonly by: ModelTransaction }[] = []
  /** Statements that it doesn't know, and other wrong use. */
  readonly complaints: string[] = []
  readonly sessions = new Set<ModelSession>()
  /** How often it has gone down in each way. */
  readonly outages = new Map<Outage | 'statistics reset', number>()
  readonly #statuses = new Map<bigint, TransactionStatus>()
  readonly #hasHappened = new Set<string>()
  readonly #tooSlow = new Set<string | undefined>()
  #nextId = FIRST_ID
  /** All ids below this one have left a trace. */
  #durableId = FIRST_ID
  #micros = 1_000_000_000_000n
  #timeline = 1
  #postmasterStart = this.now()
  #statisticsStart = this.now()
  #checkpoint = { nextId: FIRST_ID, isFirst: true }

  /** A time in microseconds, different each time. */
  now(): string {
    this.#micros += 1000n
    return String(this.#micros)
  }

  /** The time by its clock, in microseconds: it goes as the clients' does. */
  time(): string {
    return String(2_000_000_000_000n + BigInt(Math.round(performance.now() * 1000)))
  }

  get startedAt(): string {
    return this.#postmasterStart
  }

  /** The id that it assigns next. */
  get nextId(): string {
    return String(this.#nextId)
  }

  /** A client has not had the patience to wait for the statement that writes this row. It must not run again. */
  notesSlow(label: string | undefined): void {
    if (label !== undefined) this.#tooSlow.add(label)
  }

  /** A single statement that writes this row begins. */
  beginsSingle(label: string | undefined): void {
    if (this.#tooSlow.has(label)) this.complaints.push(`${label} runs again, although it took too long`)
  }

  /** Adds a session. Returns its pid, the lowest that is free. */
  admit(session: ModelSession): number {
    const taken = new Set([...this.sessions].map(({ pid }) => pid))
    this.sessions.add(session)
    for (let pid = 101; ; pid++) if (!taken.has(pid)) return pid
  }

  /** Whether this is the first time. */
  happensFirst(what: string): boolean {
    const isFirst = !this.#hasHappened.has(what)
    this.#hasHappened.add(what)
    return isFirst
  }

  assignId(transaction: ModelTransaction): void {
    if (transaction.id !== undefined) return
    transaction.id = this.#nextId++
    this.#statuses.set(transaction.id, 'in progress')
  }

  commit(transaction: ModelTransaction): void {
    for (const label of transaction.labels) this.rows.push({ label, by: transaction })
    if (transaction.id === undefined) return
    this.#statuses.set(transaction.id, 'committed')
    this.#durableId = this.#nextId
  }

  abort(transaction: ModelTransaction): void {
    if (transaction.id !== undefined) this.#statuses.set(transaction.id, 'aborted')
  }

  /** Undefined for an id that it has not assigned. */
  statusOf(id: bigint): TransactionStatus | undefined {
    return id >= this.#nextId ? undefined : (this.#statuses.get(id) ?? 'aborted')
  }

  identityOf({ pid, start }: ModelSession): string {
    const timeline = String(this.#timeline).padStart(8, '0')
    return [pid, start, '7000000000000000000', timeline, this.#postmasterStart, this.#statisticsStart].join(' ')
  }

  /** What its last checkpoint contains. */
  checkpointRow(): Row {
    return { next_xid: String(this.#checkpoint.nextId), is_first: String(this.#checkpoint.isFirst) }
  }

  /** The sessions that fulfil a condition. */
  sessionsWhere({ pid, start, transactionId }: SessionCondition): ModelSession[] {
    return [...this.sessions].filter(
      (session) =>
        (pid === undefined || session.pid === pid) &&
        (start === undefined || session.start === start) &&
        (transactionId === undefined || session.transaction?.id === transactionId),
    )
  }

  cancel(pid: number, key: number): void {
    for (const session of this.sessions) if (session.protocolPid === pid && session.key === key) session.cancel()
  }

  resetStatistics(): void {
    this.#count('statistics reset')
    this.#statisticsStart = this.now()
  }

  checkpoint(): void {
    this.#durableId = this.#nextId
    this.#checkpoint = { nextId: this.#nextId, isFirst: false }
  }

  /** Ends all sessions, and starts again. */
  goDown(how: Outage): void {
    this.#count(how)
    const isCrash = how !== 'fast restart'
    for (const session of [...this.sessions]) session.end(isCrash ? 'reset' : 'told')
    if (isCrash) {
      this.#statisticsStart = this.now()
      for (let id = this.#durableId; id < this.#nextId; id++) this.#statuses.delete(id)
      this.#nextId = this.#durableId
    }
    if (how !== 'crash of a session') this.#postmasterStart = this.now()
    if (how === 'failover') this.#timeline++
    this.#durableId = this.#nextId
    this.#checkpoint = { nextId: this.#nextId, isFirst: true }
  }

  #count(what: Outage | 'statistics reset'): void {
    this.outages.set(what, (this.outages.get(what) ?? 0) + 1)
  }
}
