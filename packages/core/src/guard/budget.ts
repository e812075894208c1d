import { type Row, truthIn } from '../commit/server-report.ts'
import type { Connection } from '../connection/connection.ts'
import { BudgetError, budgetUsedUp, ConnectError } from '../errors.ts'
import type { BudgetValues } from '../options/read-values.ts'
import { type BudgetStatus, shareOf } from '../policy/budget-share.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { codeOf, isInstance } from '../thrown.ts'
import type { SessionAside } from '../watch/asking-session.ts'
import { type BudgetSession, joinBudget } from './budget-membership.ts'
import type { BudgetRegistry, BudgetView } from './budget-registry.ts'
import { type BudgetSlot, BudgetSlots } from './budget-slots.ts'
import { BudgetTurns } from './budget-turns.ts'

/** How often the registry is looked at: in quiet times, while other pools need connections, and until a session has ended. */
const QUIET_MILLIS = 250
const CONTENDED_MILLIS = 100
const CLOSING_MILLIS = 20
const CLOSE_MILLIS = 500
/** A privilege, a function, a table, a feature: it will be refused again. */
const REFUSALS: readonly (string | undefined)[] = ['42501', '42883', '42P01', '0A000']
const NO_VIEW: BudgetView = { taken: 0, others: [], hungrySince: undefined, isMember: false }

/** What the pool needs just now. */
export interface BudgetDemand {
  /** Connections that were unused for a while, beyond `min`. */
  readonly unused: number
  /** How many connections more the callers that wait could use. */
  readonly wanted: number
}

/** What sharing a budget takes. */
export interface BudgetParts {
  readonly values: BudgetValues
  readonly clock: Clock
  /** Opens the session in which the pool asks. */
  readonly openSession: () => Promise<BudgetSession>
  readonly demand: (now: number) => BudgetDemand
  /** The pool may keep so many connections: what is idle beyond that is closed, then what is released. */
  readonly limitTo: (most: number) => void
  /** Asks over a connection of the pool. */
  readonly askOver: (connection: Connection, sql: string) => Promise<readonly Row[]>
  /** The registry can't be asked, and so many connections are open; or it refuses. Called once. */
  readonly onUnanswered: (error: unknown, open: number) => void
}

interface Request {
  readonly resolve: (slot: BudgetSlot) => void
  readonly reject: (error: unknown) => void
}

/**
 * Shares connections with all pools that name the same budget, in any number of processes. Each connection has a slot, which is taken
 * before it logs in (see `BudgetRegistry`). So has the session in which this asks; it is open while the pool has connections or
 * waiters. When a connection is leased or released, nothing of it runs.
 */
export class Budget {
  readonly #parts: BudgetParts
  readonly #slots = new BudgetSlots()
  readonly #turns = new BudgetTurns()
  readonly #requests: Request[] = []
  #session: BudgetSession | undefined
  #registry: BudgetRegistry | undefined
  /** The process of the session that was lost, which the server may still have; 0 if there is none. */
  #formerPid = 0
  #refusal: BudgetError | undefined
  #view = NO_VIEW
  #cancel: Cancel | undefined
  #isLooking = false
  #failures = 0
  /** Whether it got fewer slots than it has asked for. */
  #isDenied = false
  #isContended = false
  /** Whether it gives to others what can't be divided, and counts as having come after them. */
  #isTurnOver = false
  #hasReported = false
  #isClosed = false

  constructor(parts: BudgetParts) {
    this.#parts = parts
  }

  /** What is known of the budget. */
  get status(): BudgetStatus {
    const { name, total, reserve } = this.#parts.values
    const { taken, others } = this.#view
    const own = this.#registry ? 1 : 0
    return { name, total, reserve, held: this.#slots.size + own, taken, pools: others.length + own }
  }

  /**
   * Takes a slot for one connection.
   *
   * @throws {ConnectError} if none is free, or the registry can't be asked: asking again may help.
   * @throws {BudgetError} if the server can't be the registry.
   */
  take(): Promise<BudgetSlot> {
    return new Promise((resolve, reject) => {
      this.#requests.push({ resolve, reject })
      this.#look()
    })
  }

  /** Gives back a slot for which no connection was made. */
  giveBack(slot: BudgetSlot): void {
    slot.isGivenBack = true
  }

  /**
   * Has the session of a connection hold its slot as well: after its login, and after a reset has freed its locks.
   *
   * @throws {ConnectError} if another pool may have the slot by now, or the connection is lost.
   */
  async hold(connection: Connection): Promise<void> {
    const { endpoint } = connection
    const slot = this.#slots.of(connection)
    let isHeld = false
    try {
      if (slot && this.#registry) {
        const [row] = await this.#parts.askOver(connection, this.#registry.holdStatement(slot.number))
        isHeld = truthIn(row?.held) === true && this.#slots.has(slot)
      }
    } catch (error) {
      throw new ConnectError(endpoint, connection.loss?.cause ?? error)
    }
    if (!isHeld) throw new ConnectError(endpoint, budgetUsedUp('the session that shares the budget was lost'))
  }

  /** The number of the slot that a connection has. */
  slotOf(connection: Connection): number | undefined {
    return this.#slots.of(connection)?.number
  }

  /** The session in which this asks, for other questions of the pool: it takes no connection more. */
  async openAside(): Promise<SessionAside> {
    const ask = async (sql: string, timeoutMillis: number): Promise<readonly Row[]> => {
      if (!this.#session) throw new Error('The session that shares the budget was lost')
      return await this.#session.ask(sql, timeoutMillis)
    }
    return { ask, close: async () => {}, destroy: () => {} }
  }

  /** Drops the session, which is another process's: nothing is sent. */
  abandon(): void {
    this.#drop()?.destroy()
    this.#slots.clear()
  }

  /** Leaves the budget, once the pool has no connection. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    this.#slots.clear()
    const letGo = this.#parts.clock.schedule(CLOSE_MILLIS, () => {}, 'process') // The session doesn't keep it alive.
    await this.#drop()?.close(CLOSE_MILLIS)
    letGo()
  }

  /** Looks at the registry now. If that is under way, another look follows for those that have asked meanwhile. */
  #look(): void {
    if (this.#isLooking) return
    this.#cancel?.()
    this.#isLooking = true
    const look = async (): Promise<void> => {
      await this.#lookOnce().catch((error: unknown) => this.#failed(error))
      this.#isLooking = false
      this.#lookAgain()
    }
    inNoContext(() => void look())
  }

  #lookAgain(): void {
    if (this.#isClosed) {
      void this.#drop()?.close(CLOSE_MILLIS)
      return this.#rejectAll(budgetUsedUp('the pool is closed'))
    }
    if (this.#requests.length > 0) return this.#look()
    if (!this.#session && this.#slots.size === 0) return
    const pause = this.#isContended ? CONTENDED_MILLIS : QUIET_MILLIS
    const millis = this.#registry && this.#slots.over.length > 0 ? CLOSING_MILLIS : pause
    this.#cancel = this.#parts.clock.schedule(millis, () => this.#look(), 'nothing')
  }

  async #lookOnce(): Promise<void> {
    if (this.#refusal) throw this.#refusal
    if (this.#isClosed) throw budgetUsedUp('the pool is closed')
    const { clock, demand, limitTo } = this.#parts
    const asked = this.#requests.length
    if (!this.#registry) this.#slots.dropOver()
    const { wanted } = demand(clock.now())
    if (wanted === 0 && asked === 0) this.#isDenied = false
    if (wanted === 0 && asked === 0 && this.#slots.size === 0) return await this.#leave()
    const registry = this.#registry ?? (await this.#join())
    await this.#free(registry)
    this.#view = await registry.look(this.#isDenied, this.#isTurnOver)
    await registry.leaveReserve()
    const count = this.#share(asked, limitTo)
    const numbers = count > 0 ? await registry.take(count) : []
    this.#failures = 0
    this.#grant(numbers, asked)
    // The others are told at once.
    if (this.#isDenied) this.#view = await registry.look(true)
  }

  /** Returns how many slots to take. */
  #share(asked: number, limitTo: (most: number) => void): number {
    const { clock, demand, values } = this.#parts
    const now = clock.now()
    const { unused, wanted } = demand(now)
    const closing = this.#slots.over.length
    const share = shareOf({
      free: values.total - this.#view.taken,
      reserve: values.reserve,
      connections: this.#slots.size - closing,
      closing,
      unused,
      wanted: Math.max(asked, this.#isDenied ? wanted : 0),
      others: this.#view.others,
      hungrySince: this.#view.hungrySince,
      extraMillis: this.#turns.extraMillis(now),
      behindMillis: this.#turns.behindMillis(now),
    })
    this.#turns.note(share, now)
    this.#isTurnOver = share.isTurnOver
    this.#isContended = share.keep !== Number.POSITIVE_INFINITY
    limitTo(share.keep)
    return Math.min(share.take, asked)
  }

  #grant(numbers: readonly number[], asked: number): void {
    const requests = this.#requests.splice(0, asked)
    for (const number of numbers) requests.shift()?.resolve(this.#slots.add(number))
    if (asked > 0) this.#isDenied = requests.length > 0
    const { name, total } = this.#parts.values
    const { taken } = this.#view
    for (const { reject } of requests)
      reject(this.#asConnectError(budgetUsedUp(`${taken} of ${total} connections of the budget '${name}' are in use`)))
  }

  async #join(): Promise<BudgetRegistry> {
    const session = await this.#parts.openSession()
    this.#session = session
    if (this.#isClosed) throw budgetUsedUp('the pool is closed')
    const registry = await joinBudget(session, this.#parts.values, this.#slots, this.#formerPid)
    this.#formerPid = session.backendPid ?? 0
    this.#registry = registry
    return registry
  }

  async #leave(): Promise<void> {
    this.#formerPid = 0
    await this.#drop()?.close(CLOSE_MILLIS)
  }

  async #free(registry: BudgetRegistry): Promise<void> {
    const { over } = this.#slots
    if (over.length > 0) this.#slots.freed(await registry.free(over.map(({ held }) => held)))
  }

  #failed(error: unknown): void {
    const { onUnanswered, values } = this.#parts
    const wasIn = this.#registry !== undefined
    const failure = this.#asConnectError(error)
    void this.#drop()?.close(CLOSE_MILLIS)
    if (severityOf(error) !== undefined && REFUSALS.includes(codeOf(error)))
      this.#refusal = new BudgetError(values.name, 'the server refuses to say who holds its locks', error)
    else if (isInstance(error, BudgetError)) this.#refusal = error
    // A session that was lost is replaced at once.
    if (wasIn && !this.#refusal && ++this.#failures === 1) return
    const open = this.#slots.held.length
    if (!this.#hasReported && (this.#refusal || open > 0)) {
      this.#hasReported = true
      onUnanswered(this.#refusal ?? error, open)
    }
    this.#rejectAll(this.#refusal ?? failure)
  }

  #asConnectError(error: unknown): unknown {
    const endpoint = this.#session?.endpoint
    return endpoint && !isInstance(error, ConnectError) ? new ConnectError(endpoint, error) : error
  }

  #rejectAll(error: unknown): void {
    for (const { reject } of this.#requests.splice(0)) reject(error)
  }

  #drop(): BudgetSession | undefined {
    const session = this.#session
    this.#session = undefined
    this.#registry = undefined
    this.#view = NO_VIEW
    return session
  }
}
