import type { Connection } from '../connection/connection.ts'
import { MOST_FAILED_PINGS, type Proof, proofDue } from '../policy/liveness.ts'
import type { LossReach } from '../policy/loss.ts'
import { type RetireReason, reasonToRetire } from '../policy/retirement.ts'
import { inNoContext } from '../runtime/context.ts'
import type { EngineContext } from './engine-context.ts'
import type { Retirement } from './retire.ts'

/** Decides whether a connection may be used again, and whether it must be pinged first. */
export class Usability {
  readonly #engine: EngineContext
  readonly #retirement: Retirement
  readonly #limits: { currentGeneration: number; readonly maxUses: number }
  readonly #isBehind: (now: number) => boolean
  #failedPings = 0
  #isServerAway = false

  constructor(engine: EngineContext, retirement: Retirement) {
    this.#engine = engine
    this.#retirement = retirement
    this.#limits = { currentGeneration: 0, maxUses: engine.options.maxUses }
    this.#isBehind = (now) => engine.clock.isBehind(now)
  }

  /** The batch that a connection opened now belongs to. */
  get generation(): number {
    return this.#limits.currentGeneration
  }

  /**
   * Takes the idle connection whose turn it is, if it can be leased without a ping. If it must be pinged first, no other is
   * taken either: the order of the idle ones decides. What may not be used again is retired on the way.
   */
  takeReady(now: number): Connection | undefined {
    const { inventory } = this.#engine
    for (let connection = inventory.next; connection; connection = inventory.next) {
      const reason = this.whyUnusable(connection, now)
      if (!reason) {
        if (this.proofDue(connection, now)) return undefined
        inventory.takeIdle(connection)
        return connection
      }
      this.#retire(connection, reason)
    }
    return undefined
  }

  /** Why this connection may not be used again; undefined if it may. A closing pool still uses one for a waiter. */
  whyUnusable(connection: Connection, now: number, isForWaiter = false): RetireReason | undefined {
    if (this.#engine.isShuttingDown && !isForWaiter) return 'pool-closed'
    if (connection.isLost) return 'lost'
    if (connection.fitness.isUnfit) return 'spoilt'
    return reasonToRetire(connection, this.#limits, now)
  }

  /** How the connection must prove before its next lease that it is alive; undefined if it need not. */
  proofDue(connection: Connection, now: number): Proof | undefined {
    if (this.#isServerAway) return 'ping'
    return proofDue(connection.liveness, this.#engine.options.prePing, now, this.#isBehind)
  }

  /** Whether a pooler has said that its server is away, and no ping has been answered since. A login proves nothing then. */
  get isServerAway(): boolean {
    return this.#isServerAway
  }

  /** A pooler has said that its server is away. */
  noteServerAway(): void {
    this.#isServerAway = true
  }

  /** A ping was answered. */
  notePingAnswered(): void {
    this.#isServerAway = false
    this.#failedPings = 0
  }

  /** A ping was not answered. */
  notePingFailed(): void {
    this.#failedPings++
  }

  /**
   * Whether the loss of this connection invalidates all that were opened before. The loss of one of an older generation
   * doesn't: it belongs to an invalidation that has already happened.
   */
  invalidatesOthers(connection: Connection, reach: LossReach): boolean {
    if (this.#failedPings >= MOST_FAILED_PINGS) return true
    const isNews = connection.generation === this.generation
    return isNews && reach === 'all' && this.#engine.options.invalidateOnDisconnect === 'all'
  }

  /** Invalidates all connections opened so far. Returns the number of the new generation. */
  startGeneration(): number {
    this.#failedPings = 0
    this.#limits.currentGeneration++
    return this.generation
  }

  /** Runs outside the caller's context: the connection aged by itself. A separate function, since its closure costs time. */
  #retire(connection: Connection, reason: RetireReason): void {
    inNoContext(() => this.#retirement.retire(connection, reason))
  }
}
