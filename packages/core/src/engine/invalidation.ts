import type { Connection } from '../connection/connection.ts'
import type { Loss } from '../errors.ts'
import type { LossReach } from '../policy/loss-reach.ts'
import { inNoContext } from '../runtime/context.ts'
import type { Interruption, Publisher } from '../telemetry/events.ts'
import type { Inventory } from './inventory.ts'
import type { Outage } from './outage.ts'
import type { Retirements } from './retire.ts'
import type { Usability } from './trust.ts'

/** What distrust works on. */
export interface InvalidationParts {
  readonly inventory: Inventory
  readonly departures: Retirements
  readonly trust: Usability
  readonly publisher: Publisher
  readonly outage: Outage
  /** Whether the process stood still, or became another one, since the last time this was asked. */
  readonly interruption: (now: number) => Interruption | undefined
  /** The server may have restarted: open gently. */
  readonly slowDown: () => void
  /** The process is a copy of the one that set the timers. */
  readonly restartTimers: () => void
}

/** What some news means for all the other connections: a loss, a frozen process, a copied one, the user's word. */
export class Invalidation {
  readonly #parts: InvalidationParts

  constructor(parts: InvalidationParts) {
    this.#parts = parts
  }

  /** A connection died. That concerns all, and nobody who happens to be at work when it is noticed. */
  lost(connection: Connection, loss: Loss, reach: LossReach): void {
    inNoContext(() => this.#lost(connection, loss, reach))
  }

  #lost(connection: Connection, loss: Loss, reach: LossReach): void {
    const { departures, trust, publisher } = this.#parts
    const wasPinged = connection.isPinged
    const wasLeased = connection.is('leased')
    if (reach === 'suspect' || reach === 'server-away') this.#suspectAll()
    if (reach === 'server-away') this.serverIsAway()
    // First of all: whoever acquires in a listener must not be given what is condemned.
    const generation = trust.isLostBy(connection, reach, wasPinged) ? trust.renew() : undefined
    departures.retire(connection, 'lost', loss.cause)
    if (generation !== undefined) this.#condemnOlder(generation, loss.cause, false)
    publisher.publish({ type: 'connection-lost', connection, loss, wasLeased, wasPinged })
  }

  /** What stands between lets connections be opened, and has no server for them. */
  serverIsAway(): void {
    const { trust, slowDown } = this.#parts
    trust.serverIsAway()
    slowDown()
  }

  /** Whatever was opened so far is taken for dead: idle ones go now, leased ones when they come back. */
  condemnAll(cause: unknown): void {
    this.#condemnOlder(this.#parts.trust.renew(), cause, true)
  }

  #condemnOlder(generation: number, cause: unknown, wasAsked: boolean): void {
    const { departures, publisher, outage, slowDown } = this.#parts
    slowDown()
    if (!wasAsked) outage.lostAll()
    // Told before its consequences. Who acquires in a listener finds the others stale already.
    publisher.publish({ type: 'pool-invalidated', generation, cause, wasAsked })
    for (const connection of this.#unleased()) departures.retire(connection, 'invalidated', cause)
  }

  /**
   * Lets go of whatever was opened so far; with a goodbye, or without a word to the server. What is being opened stays if
   * somebody waits for it.
   */
  dispose(close: boolean, isWaitedFor: boolean): void {
    const { inventory, departures, trust, publisher } = this.#parts
    const generation = trust.renew()
    // What is still being opened is this process' own.
    for (const connection of inventory.all()) connection.isShared ||= !close && !connection.is('opening')
    for (const connection of this.#unleased()) departures.retire(connection, 'disposed')
    if (!isWaitedFor) for (const each of inventory.all()) if (each.is('opening')) departures.retire(each, 'disposed')
    publisher.publish({ type: 'pool-disposed', generation })
  }

  /** Looks whether this is still the process it was, and whether it has run all the time. */
  guard(now: number): void {
    const { interruption, inventory } = this.#parts
    const interrupted = interruption(now)
    // Where there is nothing, nothing can have suffered; nor does upkeep look then, so that time seems to have stood still.
    if (!interrupted || (interrupted.type === 'process-suspended' && inventory.size === 0)) return
    this.#interrupted(interrupted)
  }

  /** In a function of its own: its closure costs nothing where nothing has happened. */
  #interrupted(interruption: Interruption): void {
    inNoContext(() => {
      this.#parts.publisher.publish(interruption)
      if (interruption.type === 'process-suspended') this.#suspectAll()
      else this.#becomeAnotherProcess()
    })
  }

  #suspectAll(): void {
    for (const connection of this.#parts.inventory.all()) connection.liveness.markSuspect()
  }

  /** The connections belong to the process that this one was copied from: a word would end its sessions. */
  #becomeAnotherProcess(): void {
    const { inventory, departures, trust, restartTimers } = this.#parts
    trust.renew()
    for (const connection of [...inventory.all(), ...inventory.asides]) departures.abandon(connection, 'other-process')
    restartTimers()
  }

  #unleased(): Connection[] {
    const { inventory } = this.#parts
    return inventory.all().filter((connection) => connection.is('idle') || connection.is('checking'))
  }
}
