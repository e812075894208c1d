import type { Connection } from '../connection/connection.ts'
import type { Connector } from '../connection/connector.ts'
import type { LeaseTerms } from '../connection/lease.ts'
import { reset } from '../connection/reset.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import { resetPlan } from '../policy/reset.ts'
import type { RetireReason } from '../policy/retirement.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Publisher } from '../telemetry/events.ts'
import type { Retirements } from './retire.ts'

/** What the way back takes. */
export interface ReleaseParts {
  readonly options: Pick<ResolvedOptions, 'resetOnReturn'>
  readonly connector: Pick<Connector, 'replayHook'>
  readonly clock: Clock
  readonly publisher: Publisher
  /** Why this connection may not be used again; undefined if it may. */
  readonly flawOf: (connection: Connection, now: number) => RetireReason | undefined
  readonly retire: (connection: Connection, reason: RetireReason, cause?: unknown) => void
  readonly departures: Retirements
  /** It is fit for its next lease. */
  readonly makeAvailable: (connection: Connection, now: number) => void
}

/** The way back: what becomes of a connection when its lease ends. */
export class Release {
  readonly #parts: ReleaseParts
  readonly #isReleaseHeard: () => boolean
  readonly #isCloseHeard: () => boolean

  constructor(parts: ReleaseParts) {
    this.#parts = parts
    this.#isReleaseHeard = parts.publisher.isHeard('connection-released')
    this.#isCloseHeard = parts.publisher.isHeard('connection-closed')
  }

  /** Whether code of the user's runs at the end of such a lease: that of a listener, a reset, a hook that is replayed. */
  isHeard({ options }: LeaseTerms): boolean {
    const policy = options?.resetOnReturn ?? this.#parts.options.resetOnReturn
    const mayCall = typeof policy === 'function' || policy === 'session' || policy === 'discard'
    return mayCall || this.#isReleaseHeard() || this.#isCloseHeard()
  }

  /** Takes a connection back, whose caller may ask never to see it again. Cannot fail. */
  take(connection: Connection, discard: Error | boolean | undefined): void {
    const { number } = connection.lease
    try {
      this.#take(connection, discard)
    } catch (error) {
      this.#parts.departures.rescue(connection, number, error)
    }
  }

  #take(connection: Connection, discard: Error | boolean | undefined): void {
    const now = this.#parts.clock.now()
    this.#tell(connection, discard, now)
    if (!connection.is('leased')) return // Died meanwhile: already retired, its slot is long free.
    if (discard) return this.#parts.retire(connection, 'discarded', discard)
    const policy = connection.lease.resetOnReturn ?? this.#parts.options.resetOnReturn
    const isClean =
      connection.inSync && resetPlan(policy, connection.transactionStatus, connection.lease.hasWorked) === 'keep'
    if (isClean) return this.#parts.makeAvailable(connection, now)
    // A goodbye rolls back as well as a ROLLBACK would; only `commit` has something left to do on the old session.
    const flaw = this.#parts.flawOf(connection, now)
    if (flaw && policy !== 'commit') return this.#parts.retire(connection, flaw)
    void this.#reset(connection)
  }

  #tell(connection: Connection, discard: Error | boolean | undefined, now: number): void {
    if (!this.#isReleaseHeard()) return
    const heldMillis = now - connection.lease.since
    this.#parts.publisher.publish({
      type: 'connection-released',
      connection,
      heldMillis,
      discard,
      wasOverdue: connection.lease.isOverdue,
    })
  }

  async #reset(connection: Connection): Promise<void> {
    const { clock, publisher, connector, options } = this.#parts
    const startedAt = clock.now()
    connection.move('resetting')
    const outcome = await reset(connection, connection.lease.resetOnReturn ?? options.resetOnReturn, {
      clock,
      replayHook: () => connector.replayHook(connection),
    })
    if (!connection.is('resetting')) return // Lost meanwhile: already retired.
    if ('flaw' in outcome) return this.#parts.retire(connection, 'reset-failed', outcome.flaw)
    const now = clock.now()
    if (outcome.by)
      publisher.publish({ type: 'connection-reset', connection, by: outcome.by, tookMillis: now - startedAt })
    this.#parts.departures.carefully(connection, () => this.#parts.makeAvailable(connection, now))
  }
}
