import type { Connection } from '../connection/connection.ts'
import { reset } from '../connection/internal-query.ts'
import type { LeaseTerms } from '../connection/lease.ts'
import type { ResetPolicy } from '../options/pool-options.ts'
import { resetPlan } from '../policy/reset.ts'
import type { EngineContext } from './engine-context.ts'
import type { Retirement } from './retire.ts'
import type { Usability } from './usability.ts'

/** The end of a lease: decides what becomes of the connection. */
export class Release {
  readonly #engine: EngineContext
  readonly #usability: Usability
  readonly #retirement: Retirement
  readonly #hasReleaseListener: () => boolean
  readonly #hasCloseListener: () => boolean

  constructor(engine: EngineContext, usability: Usability, retirement: Retirement) {
    this.#engine = engine
    this.#usability = usability
    this.#retirement = retirement
    this.#hasReleaseListener = engine.publisher.hasListener('connection-released')
    this.#hasCloseListener = engine.publisher.hasListener('connection-closed')
  }

  /** Whether the user's code runs at the end of such a lease: a listener, a reset function, a hook that is replayed. */
  runsUserCode({ options }: LeaseTerms): boolean {
    const policy = options?.resetOnReturn ?? this.#engine.options.resetOnReturn
    const mayCall = typeof policy === 'function' || policy === 'session' || policy === 'discard'
    return mayCall || this.#hasReleaseListener() || this.#hasCloseListener()
  }

  /** Ends the lease of a connection. With `discard` the connection isn't used again. Cannot fail. */
  release(connection: Connection, discard: Error | boolean | undefined): void {
    const { number } = connection.lease
    try {
      this.#release(connection, discard)
    } catch (error) {
      this.#retirement.retireAfterError(connection, number, error)
    }
  }

  #release(connection: Connection, discard: Error | boolean | undefined): void {
    const engine = this.#engine
    const now = engine.clock.now()
    engine.publisher.counts.leaseEnded(now - connection.lease.since)
    if (this.#hasReleaseListener()) this.#publishReleased(connection, discard, now)
    if (!connection.is('leased')) return // It died meanwhile: already retired, its slot has long been free.
    if (discard) return engine.retireAndDispatch(connection, 'discarded', discard)
    const policy = connection.lease.resetOnReturn ?? engine.options.resetOnReturn
    const isClean =
      connection.inSync && resetPlan(policy, connection.transactionStatus, connection.lease.hasWorked) === 'keep'
    if (isClean) return engine.makeAvailable(connection, now)
    // Closing rolls back as well as ROLLBACK does. Only `commit` has something left to do on a connection that is retired.
    const reason = this.#usability.whyUnusable(connection, now)
    if (reason && policy !== 'commit') return engine.retireAndDispatch(connection, reason)
    void this.#reset(connection, policy)
  }

  #publishReleased(connection: Connection, discard: Error | boolean | undefined, now: number): void {
    const { lease } = connection
    const heldMillis = now - lease.since
    const wasOverdue = lease.isOverdue
    this.#engine.publisher.publish({ type: 'connection-released', connection, heldMillis, discard, wasOverdue })
  }

  async #reset(connection: Connection, policy: ResetPolicy): Promise<void> {
    const { clock, publisher, connector, capacity } = this.#engine
    const startedAt = clock.now()
    connection.move('resetting')
    const replayHook = async (): Promise<void> => {
      await capacity?.budget?.hold(connection) // The reset has freed its locks.
      await connector.replayHook(connection)
    }
    const outcome = await reset(connection, policy, { clock, replayHook })
    if (!connection.is('resetting')) return // Lost meanwhile: already retired.
    if ('failure' in outcome) return this.#engine.retireAndDispatch(connection, 'reset-failed', outcome.failure)
    const now = clock.now()
    const { by } = outcome
    if (by) publisher.counts.resets++
    if (by) publisher.publish({ type: 'connection-reset', connection, by, tookMillis: now - startedAt })
    this.#engine.makeAvailable(connection, now)
  }
}
