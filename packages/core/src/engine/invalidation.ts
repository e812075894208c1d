import type { Connection } from '../connection/connection.ts'
import { orDefault } from '../connection/loss-record.ts'
import { connectCauseOf, type Loss } from '../errors.ts'
import { refusalOf } from '../policy/classify-error.ts'
import type { LossReach } from '../policy/reach.ts'
import { inNoContext } from '../runtime/context.ts'
import type { Interruption } from '../telemetry/events.ts'
import type { ConnectScheduler, Outage } from './connect-scheduler.ts'
import type { EngineContext } from './engine-context.ts'
import type { Maintenance } from './maintenance.ts'
import type { Retirement } from './retire.ts'
import type { Usability } from './usability.ts'

/** What invalidation uses. */
export interface InvalidationParts {
  readonly retirement: Retirement
  readonly usability: Usability
  readonly outage: Outage
  readonly connectScheduler: ConnectScheduler
  readonly maintenance: Maintenance
}

/** What an event means for all other connections: a loss, a suspended process, a copied process, a call of `invalidate()`. */
export class Invalidation {
  readonly #engine: EngineContext
  readonly #parts: InvalidationParts

  constructor(engine: EngineContext, parts: InvalidationParts) {
    this.#engine = engine
    this.#parts = parts
  }

  /** A connection died. Runs outside the context of the code in which that was noticed, since it concerns all. */
  connectionLost(connection: Connection, loss: Loss, reach: LossReach): void {
    inNoContext(() => this.#connectionLost(connection, loss, reach))
  }

  #connectionLost(connection: Connection, loss: Loss, reach: LossReach): void {
    const { retirement, usability } = this.#parts
    const wasPinged = connection.isPinged
    const wasLeased = connection.is('leased')
    if (reach === 'server-away') this.serverAway()
    // Its ping may wait for a free session. A connection in its place is opened while the next one is pinged.
    if (reach === 'silent' && connection.session.isDirect === false) usability.replaceLost()
    else if (wasPinged) usability.notePingFailed()
    // Judged first: a listener that acquires must not be given what is invalid.
    const consequence = usability.consequenceOf(connection, reach)
    const isByLoss = reach === 'unclear'
    if (consequence === 'suspect') usability.suspectAll(isByLoss ? this.#engine.clock.now() : undefined)
    if (consequence === 'suspect' && isByLoss) usability.replaceLost()
    if (consequence === 'retire all') usability.invalidate()
    if (consequence === 'retire older') usability.invalidate(connection.generation)
    retirement.retire(connection, 'lost', loss.cause)
    if (consequence.startsWith('retire')) this.#retireInvalid(loss.cause, false)
    this.#engine.publisher.publish({ type: 'connection-lost', connection, loss, wasLeased, wasPinged })
  }

  /** A pooler accepts connections, and has no server for them. */
  serverAway(): void {
    this.#parts.usability.noteServerAway()
    this.#parts.connectScheduler.slowDown()
  }

  /** Invalidates every connection opened so far: idle ones close now, leased ones when they are released. */
  invalidateAll(cause: unknown): void {
    this.#parts.usability.invalidate()
    this.#retireInvalid(cause, true)
  }

  /** A connect has failed. If there is no server, the suspects are dead, unless they lead to another host. */
  connectFailed(error: unknown, { candidate }: Connection): void {
    const { usability } = this.#parts
    const { host } = candidate ?? {}
    if (host && this.#engine.inventory.all().some((each) => each.candidate?.host !== host)) return
    const cause = connectCauseOf(error)
    const refusal = orDefault(() => refusalOf(cause), undefined)
    if (refusal !== 'no server' || !usability.isRefusalProof()) return
    usability.invalidate()
    this.#retireInvalid(cause, false)
  }

  #retireInvalid(cause: unknown, wasAsked: boolean): void {
    const { retirement, usability, outage, connectScheduler } = this.#parts
    const generation = usability.oldestGeneration
    connectScheduler.slowDown() // The server may have restarted.
    if (!wasAsked) outage.lostAll()
    // Published before its consequences. A listener that acquires doesn't get an older one: they are invalid by now.
    this.#engine.publisher.publish({ type: 'pool-invalidated', generation, cause, wasAsked })
    for (const connection of this.#unleased())
      if (usability.isInvalid(connection)) retirement.retire(connection, 'invalidated', cause)
  }

  /**
   * Drops every connection opened so far; without `close` the server is told nothing. Connections that are being opened
   * stay if a waiter needs them.
   */
  dispose(close: boolean): void {
    const { inventory, publisher } = this.#engine
    const { retirement, usability } = this.#parts
    const isNeeded = this.#engine.hasWaiters
    usability.invalidate()
    // No other process can share a connection that is still being opened.
    for (const connection of inventory.all()) connection.isShared ||= !close && !connection.is('opening')
    for (const connection of this.#unleased()) retirement.retire(connection, 'disposed')
    if (!isNeeded) for (const each of inventory.all()) if (each.is('opening')) retirement.retire(each, 'disposed')
    publisher.publish({ type: 'pool-disposed', generation: usability.oldestGeneration })
  }

  /** Checks whether this is still the same process, and whether it has run all the time. */
  checkProcess(now: number): void {
    const interruption = this.#engine.interruption(now)
    if (!interruption) return
    // Maintenance doesn't run while there is no connection, so that time seems to have stopped. Nothing can be harmed then.
    if (interruption.type === 'process-suspended' && this.#engine.inventory.size === 0) return
    this.#interrupted(interruption)
  }

  /** A separate function: its closure costs nothing as long as nothing has happened. */
  #interrupted(interruption: Interruption): void {
    inNoContext(() => {
      this.#engine.publisher.publish(interruption)
      if (interruption.type === 'process-suspended') this.#parts.usability.suspectAll()
      else this.#abandonAll()
    })
  }

  /** This process is a copy. The connections belong to the original, and Terminate would end its sessions. */
  #abandonAll(): void {
    const { inventory } = this.#engine
    const { retirement, usability, maintenance } = this.#parts
    usability.invalidate()
    for (const connection of [...inventory.all(), ...inventory.asides]) retirement.abandon(connection, 'other-process')
    maintenance.restart()
  }

  #unleased(): Connection[] {
    return this.#engine.inventory.all().filter((connection) => connection.is('idle') || connection.is('checking'))
  }
}
