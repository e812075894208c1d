import type { ModelSession } from './session.ts'
import type { SessionCondition } from './sql.ts'
import type { ModelTransaction } from './transaction.ts'
import type { Row } from './wire.ts'

/** How a server ends that everything in it ends with. */
export type Downfall = 'crash of a session' | 'immediate restart' | 'fast restart' | 'failover'

type TransactionStatus = 'in progress' | 'committed' | 'aborted'

const FIRST_ID = 700n

/**
 * A small and honest PostgreSQL: it knows of ids, of what became of them, of its sessions, and of who it is. Ids whose
 * use had left no trace on disk are used again after a crash, and pids as soon as they can be.
 */
export class ModelServer {
  /** What was committed, in order, and together with what. */
  readonly ledger: { readonly label: string; readonly by: ModelTransaction }[] = []
  /** What it was asked that it doesn't understand. */
  readonly complaints: string[] = []
  readonly sessions = new Set<ModelSession>()
  /** How often it has been each way. */
  readonly downfalls = new Map<Downfall | 'statistics reset', number>()
  readonly #statuses = new Map<bigint, TransactionStatus>()
  readonly #hasHappened = new Set<string>()
  #nextId = FIRST_ID
  /** All ids below this one have left a trace. */
  #durableId = FIRST_ID
  #micros = 1_000_000_000_000n
  #timeline = 1
  #postmasterStart = this.now()
  #statisticsStart = this.now()
  #checkpoint = { nextId: FIRST_ID, isFirst: true }

  /** In microseconds; never the same again. */
  now(): string {
    this.#micros += 1000n
    return String(this.#micros)
  }

  /** Lets a session in, by the lowest pid that no other has. */
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
    for (const label of transaction.labels) this.ledger.push({ label, by: transaction })
    if (transaction.id === undefined) return
    this.#statuses.set(transaction.id, 'committed')
    this.#durableId = this.#nextId
  }

  abort(transaction: ModelTransaction): void {
    if (transaction.id !== undefined) this.#statuses.set(transaction.id, 'aborted')
  }

  /** Undefined for one that it has never heard of. */
  statusOf(id: bigint): TransactionStatus | undefined {
    return id >= this.#nextId ? undefined : (this.#statuses.get(id) ?? 'aborted')
  }

  identityOf({ pid, start }: ModelSession): string {
    const timeline = String(this.#timeline).padStart(8, '0')
    return [pid, start, '7000000000000000000', timeline, this.#postmasterStart, this.#statisticsStart].join(' ')
  }

  /** What its last checkpoint knew. */
  checkpointRow(): Row {
    return { next_xid: String(this.#checkpoint.nextId), is_first: String(this.#checkpoint.isFirst) }
  }

  /** The sessions that fulfil all of a condition. */
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

  /** Ends all sessions, and begins again. */
  fall(how: Downfall): void {
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

  #count(what: Downfall | 'statistics reset'): void {
    this.downfalls.set(what, (this.downfalls.get(what) ?? 0) + 1)
  }
}
