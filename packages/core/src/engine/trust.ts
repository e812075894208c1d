import type { Connection } from '../connection/connection.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import { MOST_FAILED_PINGS, type Proof, proofDue } from '../policy/liveness.ts'
import type { LossReach } from '../policy/loss-reach.ts'
import { type RetireReason, reasonToRetire } from '../policy/retirement.ts'
import type { Clock } from '../runtime/clock.ts'

/** Which connections are believed to be alive: keeps what the policies need to know beyond a single connection. */
export class Usability {
  readonly #options: Pick<ResolvedOptions, 'prePing' | 'maxUses' | 'invalidateOnDisconnect'>
  readonly #limits: { currentGeneration: number; readonly maxUses: number }
  readonly #isBehind: Clock['isBehind']
  #failedPings = 0
  #isServerAway = false

  constructor(
    options: Pick<ResolvedOptions, 'prePing' | 'maxUses' | 'invalidateOnDisconnect'>,
    clock: Pick<Clock, 'isBehind'>,
  ) {
    this.#options = options
    this.#isBehind = (now) => clock.isBehind(now)
    this.#limits = { currentGeneration: 0, maxUses: options.maxUses }
  }

  /** The batch that a connection opened now belongs to. */
  get generation(): number {
    return this.#limits.currentGeneration
  }

  /** Why this connection may not be used again; undefined if it may. */
  flawOf(connection: Connection, now: number): RetireReason | undefined {
    if (connection.isLost) return 'lost'
    if (connection.serverRole.isUnfit) return 'spoilt'
    return reasonToRetire(connection, this.#limits, now)
  }

  /** How it must prove itself before its next lease; undefined if it need not. */
  proofDue(connection: Connection, now: number): Proof | undefined {
    if (this.#isServerAway) return 'ping'
    return proofDue(connection.liveness, this.#options.prePing, now, this.#isBehind)
  }

  /** Whether a pooler has said that its server is away, and no ping has been answered since: then no login proves anything. */
  get isServerAway(): boolean {
    return this.#isServerAway
  }

  /** A pooler says that its server is away. */
  serverIsAway(): void {
    this.#isServerAway = true
  }

  /** A ping was answered. */
  proved(): void {
    this.#isServerAway = false
    this.#failedPings = 0
  }

  /** Whether the loss of this connection condemns the others. News of an older generation is no news. */
  isLostBy(connection: Connection, reach: LossReach, didFailPing: boolean): boolean {
    if (didFailPing && ++this.#failedPings >= MOST_FAILED_PINGS) return true
    const isNews = connection.generation === this.generation
    return isNews && reach === 'all' && this.#options.invalidateOnDisconnect === 'all'
  }

  /** Nobody opened so far is trusted any more. Answers the number of the new generation. */
  renew(): number {
    this.#failedPings = 0
    this.#limits.currentGeneration++
    return this.generation
  }
}
