import type { AsyncResource } from 'node:async_hooks'
import type { Connection, ConnectionListener } from '../connection/connection.ts'
import type { Connector } from '../connection/connector.ts'
import { synchronized } from '../connection/internal-query.ts'
import { Logins } from '../connection/logins.ts'
import { reset } from '../connection/reset.ts'
import { ConnectError, type Loss } from '../errors.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import { expiryOf } from '../policy/lifetime.ts'
import type { LossReach } from '../policy/loss-reach.ts'
import { poolerMeaning } from '../policy/pooler-words.ts'
import { RESET_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import { inContext } from '../runtime/context.ts'
import type { Publisher } from '../telemetry/events.ts'
import { toError } from '../thrown.ts'
import type { Inventory } from './inventory.ts'
import type { Outage } from './outage.ts'
import type { Retirements } from './retire.ts'
import type { Usability } from './trust.ts'

/** What opening a connection takes. */
export interface OpeningParts {
  readonly options: Pick<
    ResolvedOptions,
    'connectionTimeoutMillis' | 'connectRetry' | 'maxLifetimeMillis' | 'maxLifetimeJitter' | 'resetOnReturn'
  >
  readonly connector: Pick<Connector, 'make' | 'logIn' | 'prove' | 'runHooks'>
  readonly clock: Clock
  readonly publisher: Publisher
  readonly inventory: Inventory
  readonly departures: Retirements
  readonly trust: Usability
  readonly outage: Outage
  /** Whether anybody waits for a connection. */
  readonly isWanted: () => boolean
  /** Told when what stands between has logged a connection in, and has no server for it. */
  readonly onServerAway: () => void
  /** Told when the connection dies later on. */
  readonly onLost: (connection: Connection, loss: Loss, reach: LossReach) => void
  /** Told when its holder gives it back. */
  readonly onReleased: (connection: Connection, discard: Error | boolean | undefined) => void
}

/** The way in: one attempt to open a connection, from taking a slot to an established session. */
export class Opening {
  readonly #parts: OpeningParts
  readonly #logins: Logins

  constructor(parts: OpeningParts) {
    this.#parts = parts
    const { connector, inventory, publisher, clock, departures, outage, isWanted, options } = parts
    const listener: ConnectionListener = {
      onLost: (lost, loss, reach) => {
        if (!lost.is('opening')) parts.onLost(lost, loss, reach) // While it's opening, we hear of it here.
      },
      onReleased: parts.onReleased,
    }
    this.#logins = new Logins({
      clock,
      deadlineMillis: options.connectionTimeoutMillis,
      maySpareOne: options.connectRetry !== false,
      make: (opener) => connector.make(listener, opener),
      logIn: (connection, opener) => inContext(opener, () => this.#logIn(connection)),
      isWanted,
      onSpare: (connection) => inventory.addAside(connection),
      onDropped: (connection, cause) => departures.retire(connection, 'lost', cause),
      onFailure: (error, { startedAt }) => {
        outage.failed(startedAt, error)
        publisher.publish({ type: 'connect-failed', error })
      },
      onLoggedIn: (connection) => this.#established(connection),
    })
  }

  /**
   * Opens a connection, which takes its slot at once. Undefined if it was retired meanwhile. The user's hooks run in the
   * context of the one on whose behalf it is opened, if it is one.
   */
  async open(opener?: AsyncResource): Promise<Connection | undefined> {
    const { inventory, outage } = this.#parts
    let taken: Connection | undefined
    const take = (connection: Connection): void => {
      taken = connection
      inventory.add(connection)
      outage.tries(connection.startedAt)
    }
    try {
      const connection = await this.#logins.logIn(take, opener)
      return connection && (await inContext(opener, () => this.#complete(connection)))
    } catch (error) {
      if (!taken) throw error // The user's class couldn't make a client.
      const failed = taken
      return inContext(opener, () => this.#failed(failed, error))
    }
  }

  async #logIn(connection: Connection): Promise<void> {
    const { connector, trust } = this.#parts
    await connector.logIn(connection)
    if (!trust.isServerAway) return
    await connector.prove(connection)
    trust.proved()
  }

  async #complete(connection: Connection): Promise<Connection | undefined> {
    const { connector, publisher, clock, inventory, outage } = this.#parts
    await connector.runHooks(connection)
    if (!connection.is('opening')) return undefined
    connection.openedAt = clock.now()
    publisher.publish({
      type: 'connection-opened',
      connection,
      tookMillis: connection.openedAt - connection.startedAt,
    })
    outage.succeeded(connection.openedAt, inventory.openCount === 1)
    await this.#quiet(connection)
    // Left open by a hook, or a listener. If it can't be ended here, it can't on the next connection either.
    if (!connection.isLost && connection.transactionStatus !== 'I') await this.#endTransaction(connection)
    if (connection.loss) throw connection.loss.cause
    return connection.isGone() ? undefined : connection
  }

  #failed(connection: Connection, reason: unknown): undefined {
    try {
      this.#judge(connection, reason)
    } finally {
      this.#parts.departures.retire(connection, 'lost', reason) // Though a check may have thrown.
    }
  }

  #judge(connection: Connection, reason: unknown): undefined {
    const { publisher, departures, outage, onServerAway } = this.#parts
    const { loss, endpoint } = connection
    // What a hook throws then only follows from it, and the next attempt may fare better.
    const isServerAway = loss !== undefined && poolerMeaning(loss.cause) === 'refused'
    const error = isServerAway ? new ConnectError(endpoint, loss.cause) : reason
    // It has left the pool meanwhile, and its slot may be another's: how it ended is nobody's concern.
    if (connection.isGone()) return
    if (isServerAway) onServerAway()
    outage.failed(connection.startedAt, error)
    publisher.publish({ type: 'connect-failed', error })
    departures.retire(connection, 'lost', error)
    throw toError(error)
  }

  /** Somebody waits: nobody shall wait in vain for a login that is silent. */
  hurry(): void {
    this.#logins.hurry()
  }

  /**
   * Waits until nothing more is sent. Listeners of `connect` send statements that nobody awaits, often one after the
   * other, each after the answer to the last; they come before those of the first lease.
   */
  async #quiet(connection: Connection): Promise<void> {
    const { clock } = this.#parts
    const giveUpAt = clock.now() + RESET_TIMEOUT_MILLIS
    while (!connection.inSync && clock.now() < giveUpAt) {
      if (!(await synchronized(connection, clock, giveUpAt - clock.now()))) return
      await new Promise<void>((resolve) => clock.afterPendingInput(resolve))
    }
  }

  /** Nothing was set that a mere end of the transaction wouldn't undo: `session` would undo what the hooks are for. */
  async #endTransaction(connection: Connection): Promise<void> {
    const { options, clock } = this.#parts
    const policy =
      options.resetOnReturn === 'commit' || options.resetOnReturn === 'none' ? options.resetOnReturn : 'rollback'
    const outcome = await reset(connection, policy, { clock, replayHook: async () => {} })
    if ('flaw' in outcome) throw outcome.flaw
  }

  /** The session exists from now on, though the user's hooks still run: what happens to the others may concern it. */
  #established(connection: Connection): void {
    const { options, trust, clock } = this.#parts
    const { maxLifetimeMillis, maxLifetimeJitter } = options
    connection.generation = trust.generation
    connection.expiresAt = expiryOf(clock.now(), maxLifetimeMillis, maxLifetimeJitter, clock.random())
  }
}
