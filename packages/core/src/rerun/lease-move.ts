import type { Connection } from '../connection/connection.ts'
import { type FailedCall, MOVE } from '../connection/first-call.ts'
import type { LeaseTerms, LeaseView } from '../connection/lease.ts'
import type { LeaseOwner } from '../connection/leased-client.ts'
import { ReleaseError } from '../errors.ts'
import { inContext } from '../runtime/context.ts'
import { type PoolOptionsScope, runInScope } from '../runtime/pool-options-scope.ts'
import { isError, messageOf } from '../thrown.ts'
import { type RerunSource, Reruns } from './reruns.ts'

/** What waits for the next connection of a lease. */
export interface NextLease extends LeaseTerms {
  leased(connection: Connection): void
  failed(error: Error): void
}

/** What moving a lease needs from the engine. */
export interface LeaseSource extends RerunSource {
  /** Leases another connection, before all that asked later than `askedAt`; false if it is too late. */
  reacquire(waiter: NextLease, askedAt: number): boolean
}

/**
 * Runs the first statement of a lease again, if it certainly did nothing: the lease moves to another connection, and its
 * client goes on there. A client of `connect()` has done nothing before its first statement that another session could lack,
 * except what listeners for `acquire` do, and those run again. Returns false if the caller has to be told.
 */
export function moveLease(connection: Connection, failed: FailedCall, source: LeaseSource): boolean {
  const { call, error } = failed
  const [query, second] = call.args
  const values = typeof second === 'function' ? undefined : (second as unknown[] | undefined)
  const reruns = (call.reruns as Reruns | undefined) ?? new Reruns({ query, values }, source)
  if (!reruns.afterError(error)) return false
  const move = new LeaseMove(connection, failed, reruns)
  if (inContext(call.context, () => source.reacquire(move, connection.lease.askedAt))) return true
  move.stay('its caller has no time left')
  return false
}

/** A lease on its way from a lost connection to another one. What its client is asked meanwhile waits. */
class LeaseMove implements NextLease {
  readonly options: PoolOptionsScope | undefined
  readonly stack: string | undefined
  readonly #from: Connection
  readonly #number: number
  readonly #failed: FailedCall
  readonly #reruns: Reruns
  /** Calls of `query` that came meanwhile. */
  readonly #waiting: (() => unknown)[] = []
  /** What `release` was called with meanwhile. */
  #release: { readonly discard: Error | boolean | undefined } | undefined

  constructor(from: Connection, failed: FailedCall, reruns: Reruns) {
    const { signal } = failed
    const { options } = from.lease
    this.options = signal ? { ...options, signal } : options
    this.stack = from.lease.stack
    this.#from = from
    this.#number = from.lease.number
    this.#failed = failed
    this.#reruns = reruns
    failed.call.client[MOVE](this.#whileMoving(), this.#number)
  }

  leased(connection: Connection): void {
    const { call, signal, done } = this.#failed
    const { lease } = connection
    lease.giveToCaller()
    call.client[MOVE](connection, lease.number)
    lease.attempt?.noteLease(lease, call.client.release)
    this.#from.lease.moveListenersTo(lease, connection.client)
    if (!this.#release) this.#from.endLease(this.#number)
    if (this.#reruns.isLast) lease.stay()
    else lease.noteCall(call.client, call.args, this.#reruns)
    const run = (): void => this.#reruns.run(connection.client, done)
    if (signal) runInScope({ signal }, run)
    else run()
    this.#goOn()
  }

  failed(reason: Error): void {
    const { error, signal, done } = this.#failed
    this.stay(messageOf(reason))
    // Its caller has given up: that is what it is told, as if the statement had still run.
    done(signal?.aborted && isError(signal.reason) ? signal.reason : error)
    this.#goOn()
  }

  /** There is no other connection: the client stays on the lost one, and reports the loss. */
  stay(whyNot: string): void {
    this.#reruns.refuse(this.#failed.error, whyNot)
    this.#failed.call.client[MOVE](this.#from, this.#number)
    this.#from.lease.resumeListeners()
  }

  #goOn(): void {
    for (const query of this.#waiting.splice(0)) query()
    if (this.#release) this.#failed.call.client.release(this.#release.discard)
  }

  /** The lease as its client sees it meanwhile. */
  #whileMoving(): LeaseOwner {
    const { client, lease } = this.#from
    const query = this.#queryLater
    const lateClient = new Proxy(client, {
      get(target, key) {
        if (key === 'query') return query
        const value: unknown = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const view: LeaseView = {
      number: this.#number,
      isHeld: (number) => number === this.#number && !this.#release,
      listenersOn: () => lease.listenersOn(client),
      noteCall: () => {},
      stay: () => {},
    }
    return {
      client: lateClient,
      lease: view,
      isLost: false,
      isGone: () => false,
      endLease: (_, discard) => {
        if (this.#release)
          throw new ReleaseError('Release called on client which has already been released to the pool.')
        this.#release = { discard }
      },
    }
  }

  readonly #queryLater = (...args: unknown[]): unknown => {
    const { client } = this.#failed.call
    const [first, second, third] = args as { submit?: unknown; callback?: unknown }[]
    const isAnsweredElsewhere =
      typeof first?.submit === 'function' || [second, third, first?.callback].some((each) => typeof each === 'function')
    if (!isAnsweredElsewhere) return new Promise((resolve) => this.#waiting.push(() => resolve(client.query(...args))))
    this.#waiting.push(() => client.query(...args))
    return typeof first?.submit === 'function' ? first : undefined
  }
}
