import type { AsyncResource } from 'node:async_hooks'
import { Logins } from '../connect/logins.ts'
import type { Connection, ConnectionListener } from '../connection/connection.ts'
import { reset, synchronized } from '../connection/internal-query.ts'
import { ConnectError, connectCauseOf, isBudgetUsedUp, isOfAllHosts, type Loss } from '../errors.ts'
import { poolerMeaning } from '../policy/pooler-words.ts'
import type { LossReach } from '../policy/reach.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import { expiryOf } from '../policy/retirement.ts'
import { moveLease } from '../rerun/lease-move.ts'
import { inContext } from '../runtime/context.ts'
import { toError } from '../thrown.ts'
import type { Outage } from './connect-scheduler.ts'
import type { EngineContext, SharedBudget, Slot } from './engine-context.ts'
import type { Invalidation } from './invalidation.ts'
import type { Retirement } from './retire.ts'
import type { Usability } from './usability.ts'

const LONGEST_WAIT_MILLIS = 3_600_000

/** What an opening uses. */
export interface OpeningParts {
  readonly retirement: Retirement
  readonly usability: Usability
  readonly outage: Outage
  readonly invalidation: Invalidation
}

/** The way into the pool: one attempt to open a connection, from taking a slot to an established session. */
export class Opening {
  readonly #engine: EngineContext
  readonly #parts: OpeningParts
  readonly #logins: Logins

  constructor(engine: EngineContext, parts: OpeningParts) {
    this.#engine = engine
    this.#parts = parts
    const { connector, inventory, clock, options } = engine
    const { retirement } = parts
    const { hosts } = connector
    const listener: ConnectionListener = {
      onLost: (connection, loss, reach) => this.#lost(connection, loss, reach),
      onReleased: (connection, discard) => engine.release(connection, discard),
      onFirstFailed: (connection, failed) => moveLease(connection, failed, engine),
    }
    this.#logins = new Logins({
      clock,
      deadlineMillis: options.connectionTimeoutMillis,
      maySpareOne: options.connectRetry !== false || hosts !== undefined,
      hosts,
      hostPatienceMillis: hosts && (hosts.size > 1 || hosts.failsAtOnce) ? options.hostPatienceMillis : undefined,
      make: (opener, candidate) => connector.make(listener, opener, candidate),
      logIn: (connection, opener) => inContext(opener, () => this.#logIn(connection)),
      isWanted: () => engine.isOpeningWanted(),
      onSpare: (connection) => inventory.addAside(connection),
      onDropped: (connection, cause) => retirement.retire(connection, 'lost', cause),
      onFailure: (error, connection) => this.#connectFailed(error, connection),
      onLoggedIn: (connection) => this.#loggedIn(connection),
    })
  }

  /**
   * Opens a connection, which takes its slot at once. Resolves with undefined if it was retired meanwhile. If it is opened
   * on behalf of one caller, the user's hooks run in the async context of that caller.
   */
  async open(opener?: AsyncResource): Promise<Connection | undefined> {
    const { inventory, capacity } = this.#engine
    const budget = capacity?.budget
    const { outage } = this.#parts
    let taken: Connection | undefined
    const slot = budget && (await this.#takeSlot(budget))
    const take = (connection: Connection): void => {
      taken = connection
      if (slot) slot.holder = connection
      inventory.add(connection)
      outage.tries(connection.startedAt)
    }
    try {
      const connection = await this.#logins.logIn(take, opener)
      return connection && (await inContext(opener, () => this.#complete(connection)))
    } catch (error) {
      if (slot && !taken) budget?.giveBack(slot)
      if (!taken) throw error // The user's client class threw.
      const failed = taken
      return inContext(opener, () => this.#failed(failed, error))
    }
  }

  /** Until it has one, the opening takes no slot of the pool either, but counts. */
  async #takeSlot(budget: SharedBudget): Promise<Slot> {
    const { inventory, publisher, clock } = this.#engine
    const startedAt = clock.now()
    inventory.asking++
    // The session in which the budget asks doesn't keep the process alive.
    const letGo = clock.schedule(LONGEST_WAIT_MILLIS, () => {}, 'process')
    try {
      return await budget.take()
    } catch (error) {
      if (isBudgetUsedUp(connectCauseOf(error))) throw error // Others have all of it: no failure to connect.
      this.#parts.outage.failed(startedAt, error)
      publisher.publish({ type: 'connect-failed', error, openCount: inventory.openCount })
      throw error
    } finally {
      letGo()
      inventory.asking--
    }
  }

  async #logIn(connection: Connection): Promise<void> {
    const { connector } = this.#engine
    const { usability } = this.#parts
    const isPinged = await connector.logIn(connection)
    if (!isPinged && !usability.isServerAway) return
    if (!isPinged) await connector.prove(connection)
    usability.notePingAnswered()
  }

  async #complete(connection: Connection): Promise<Connection | undefined> {
    const { connector, publisher, clock, inventory, capacity } = this.#engine
    await capacity?.budget?.hold(connection)
    await connector.runHooks(connection)
    if (!connection.is('opening')) return undefined
    connection.openedAt = clock.now()
    const tookMillis = connection.openedAt - connection.startedAt
    publisher.publish({ type: 'connection-opened', connection, tookMillis })
    this.#parts.outage.succeeded(connection.openedAt, inventory.openCount === 1)
    await this.#untilQuiet(connection)
    // A hook or a listener left a transaction open. If it can't be ended here, it can't on the next connection either.
    if (!connection.isLost && connection.transactionStatus !== 'I') await this.#endTransaction(connection)
    if (connection.loss) throw connection.loss.cause
    return connection.isGone() ? undefined : connection
  }

  #failed(connection: Connection, reason: unknown): undefined {
    try {
      this.#report(connection, reason)
    } finally {
      this.#parts.retirement.retire(connection, 'lost', reason) // A check may have thrown before it was retired.
    }
  }

  /** Throws the error of the failed attempt, unless the connection has left the pool meanwhile. */
  #report(connection: Connection, reason: unknown): undefined {
    const { retirement, invalidation } = this.#parts
    const { loss, endpoint } = connection
    // If a hook threw because the server is away, the next attempt may succeed.
    const isServerAway = !isOfAllHosts(reason) && loss !== undefined && poolerMeaning(loss.cause) === 'refused'
    const error = isServerAway ? new ConnectError(endpoint, loss.cause) : reason
    if (connection.isGone()) return // Its slot may be in use again, so that its failure concerns no waiter.
    if (isServerAway) invalidation.serverAway()
    this.#connectFailed(error, connection)
    retirement.retire(connection, 'lost', error)
    throw toError(error)
  }

  #connectFailed(error: unknown, connection: Connection): void {
    const { outage, invalidation } = this.#parts
    const { inventory, publisher } = this.#engine
    outage.failed(connection.startedAt, error)
    publisher.publish({ type: 'connect-failed', error, openCount: inventory.openCount })
    invalidation.connectFailed(error, connection)
  }

  /** A caller waits: a login that is silent gets another one beside it. */
  ensureSpare(): void {
    this.#logins.ensureSpare()
  }

  /**
   * Waits until nothing more is sent. Listeners of `connect` often send several statements that they don't await, each one
   * after the answer to the last. These run before those of the first lease.
   */
  async #untilQuiet(connection: Connection): Promise<void> {
    const { clock } = this.#engine
    const giveUpAt = clock.now() + INTERNAL_QUERY_TIMEOUT_MILLIS
    while (!connection.inSync && clock.now() < giveUpAt) {
      if (!(await synchronized(connection, clock, giveUpAt - clock.now()))) return
      await new Promise<void>((resolve) => clock.afterPendingInput(resolve))
    }
  }

  /** Only ends the transaction: a reset of the session would undo what the hooks have set. */
  async #endTransaction(connection: Connection): Promise<void> {
    const { clock } = this.#engine
    const { resetOnReturn } = this.#engine.options
    const policy = resetOnReturn === 'commit' || resetOnReturn === 'none' ? resetOnReturn : 'rollback'
    const outcome = await reset(connection, policy, { clock, replayHook: async () => {} })
    if ('failure' in outcome) throw outcome.failure
  }

  /** The session exists from now on, though the user's hooks haven't run. An invalidation concerns it, too. */
  #loggedIn(connection: Connection): void {
    const { options, clock } = this.#engine
    const { maxLifetimeMillis, maxLifetimeJitter } = options
    connection.generation = this.#parts.usability.generation
    connection.expiresAt = expiryOf(clock.now(), maxLifetimeMillis, maxLifetimeJitter, clock.random())
  }

  #lost(connection: Connection, loss: Loss, reach: LossReach): void {
    if (connection.is('opening')) return // Then `open` fails.
    this.#parts.invalidation.connectionLost(connection, loss, reach)
    this.#engine.dispatch(this.#engine.clock.now())
  }
}
