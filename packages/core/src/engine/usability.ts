import type { HostList } from '../connect/host-list.ts'
import type { Connection } from '../connection/connection.ts'
import { orDefault } from '../connection/loss-record.ts'
import { MOST_FAILED_PINGS, type Proof, proofDue } from '../policy/liveness.ts'
import { consequenceOf, type LossConsequence, type LossReach } from '../policy/reach.ts'
import { type RetireReason, reasonToRetire } from '../policy/retirement.ts'
import { inNoContext } from '../runtime/context.ts'
import type { EngineContext } from './engine-context.ts'
import type { Retirement } from './retire.ts'

/** Decides whether a connection may be used again, and whether it must be pinged first. */
export class Usability {
  readonly #engine: EngineContext
  readonly #retirement: Retirement
  readonly #hosts: HostList | undefined
  readonly #limits: { oldestGeneration: number; maxUses: number }
  readonly #isBehind: (now: number) => boolean
  #generation = 0
  #failedPings = 0
  #isReplacementDue = false
  #isServerAway = false
  /** How many connections the budget lets the pool keep. */
  #most = Number.POSITIVE_INFINITY

  constructor(engine: EngineContext, retirement: Retirement) {
    this.#engine = engine
    this.#retirement = retirement
    this.#limits = { oldestGeneration: 0, maxUses: engine.options.maxUses }
    this.#hosts = engine.connector.hosts
    this.#isBehind = (now) => engine.clock.isBehind(now)
  }

  /** The batch that a connection opened now belongs to. */
  get generation(): number {
    return this.#generation
  }

  /**
   * Takes the idle connection whose turn it is, if it can be leased without a ping. If it must be pinged first, no other is
   * taken either: the order of the idle ones decides. What may not be used again is retired on the way. Called for a caller, so
   * that a closing pool serves its waiters.
   */
  takeReady(now: number): Connection | undefined {
    const { inventory } = this.#engine
    for (let connection = inventory.next; connection; connection = inventory.next) {
      const reason = this.whyUnusable(connection, now, true)
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
    if (connection.fitness.isUnfit || connection.serverRole.isOutdated) return 'spoilt'
    if (this.#hosts?.isLeft(connection.candidate)) return 'other-host'
    const reason = reasonToRetire(connection, this.#limits, now)
    return reason === 'max-uses' ? this.#reasonOfLimit(connection) : reason
  }

  /**
   * Lets the pool keep so many connections: what is idle beyond that is closed now, then what is released. Until it is, each one
   * counts as used up, so that a pool without a budget pays nothing.
   */
  limitTo(most: number): void {
    const { inventory, options } = this.#engine
    this.#most = most
    for (const connection of inventory.idle())
      if (inventory.size > most) inNoContext(() => this.#retirement.retire(connection, 'budget'))
    this.#limits.maxUses = inventory.size > most ? 0 : options.maxUses
  }

  #reasonOfLimit({ uses }: Connection): RetireReason | undefined {
    const { inventory, options } = this.#engine
    if (inventory.size > this.#most) return 'budget'
    return uses >= options.maxUses ? 'max-uses' : undefined
  }

  /** How the connection must prove before its next lease that it is alive; undefined if it need not. */
  proofDue(connection: Connection, now: number): Proof | undefined {
    if (this.#isServerAway) return 'ping'
    const { liveness, generation } = connection
    // It has answered since the loss that made it a suspect, and another session, which is as old, shows that the server lives.
    const isCleared = liveness.suspect && liveness.hasAnsweredSinceLoss && !this.#areAllSuspects(generation)
    const { answeredAt } = liveness
    return proofDue(
      isCleared ? { answeredAt, suspect: false } : liveness,
      this.#engine.options.prePing,
      now,
      this.#isBehind,
    )
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
    this.#isReplacementDue = false
  }

  /** A ping was not answered. */
  notePingFailed(): void {
    this.#failedPings++
  }

  /** What the loss of this connection means for the others. If that can't be judged, all are retired. */
  consequenceOf(connection: Connection, reach: LossReach): LossConsequence {
    if (this.#failedPings >= MOST_FAILED_PINGS) return 'retire all'
    const { options, inventory } = this.#engine
    const { generation, isPinged, liveness } = connection
    const lost = {
      wasInvalid: this.isInvalid(connection),
      wasPinged: isPinged,
      isFailedSuspect: liveness.suspect && this.#areAllSuspects(generation),
      isOnlyOne: inventory.size === 1,
    }
    const { invalidateOnDisconnect, prePing } = options
    const policy = {
      invalidateOnDisconnect,
      mayPing: prePing !== false,
      isPooled: connection.session.isDirect === false,
    }
    return orDefault(() => consequenceOf(reach, lost, policy), 'retire all')
  }

  /** Whether a refused connect shows that what is open is dead: a connection was lost, and none has answered since. */
  isRefusalProof(): boolean {
    return this.#engine.options.invalidateOnDisconnect === 'suspect' && this.#areAllSuspects(this.#generation)
  }

  /**
   * Each open connection must answer a ping before its next lease; `lossAt` if that is because one was lost then. What is opened
   * later belongs to another generation.
   */
  suspectAll(lossAt?: number): void {
    for (const connection of this.#engine.inventory.all()) connection.liveness.markSuspect(lossAt)
    this.#generation++
  }

  /** The others are suspects because one was lost: it is replaced when a caller must wait for the ping of a suspect. */
  replaceLost(): void {
    this.#isReplacementDue = true
  }

  /** Whether to open a connection in place of a lost one, though others are being pinged. True once. */
  takeReplacement(): boolean {
    const isDue = this.#isReplacementDue
    this.#isReplacementDue = false
    return isDue
  }

  /** Invalidates all connections of this generation, and older ones; by default all that were opened so far. */
  invalidate(generation: number = this.#generation): void {
    this.#failedPings = 0
    this.#isReplacementDue = false
    this.#limits.oldestGeneration = Math.max(this.#limits.oldestGeneration, generation + 1)
    this.#generation = Math.max(this.#generation, this.#limits.oldestGeneration)
  }

  /** Whether it was invalidated. */
  isInvalid(connection: Connection): boolean {
    return connection.generation < this.#limits.oldestGeneration
  }

  /** The oldest generation that isn't invalid. */
  get oldestGeneration(): number {
    return this.#limits.oldestGeneration
  }

  /** Whether there are connections of this generation or older, and none has answered since it became a suspect. */
  #areAllSuspects(generation: number): boolean {
    const old = this.#engine.inventory.all().filter((each) => !each.is('opening') && each.generation <= generation)
    return old.length > 0 && old.every(({ liveness }) => liveness.suspect)
  }

  /** Runs outside the caller's context: the connection aged by itself. A separate function, since its closure costs time. */
  #retire(connection: Connection, reason: RetireReason): void {
    inNoContext(() => this.#retirement.retire(connection, reason))
  }
}
