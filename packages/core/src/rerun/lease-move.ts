import type { Connection } from '../connection/connection.ts'
import { type FailedCall, MOVE } from '../connection/first-call.ts'
import type { LeaseTerms, LeaseView } from '../connection/lease.ts'
import type { LeaseOwner } from '../connection/leased-client.ts'
import { ReleaseError } from '../errors.ts'
import { isConnectionLost } from '../policy/classify-error.ts'
import { inContext } from '../runtime/context.ts'
import { type PoolOptionsScope, runInScope } from '../runtime/pool-options-scope.ts'
import { isError, messageOf } from '../thrown.ts'
import type { Told } from './read-again.ts'
import { type RerunSource, Reruns } from './reruns.ts'

/** What waits for the next connection of a lease. */
export interface NextLease extends LeaseTerms {
  leased(connection: Connection): void
  failed(error: Error): void
}

/** What moving a lease needs from the engine. */
export interface LeaseSource extends RerunSource {
  /** Leases another connection, before all that asked later than `askedAt`. Returns why it can't; undefined if it does. */
  reacquire(waiter: NextLease, askedAt: number): string | undefined
  /** Ends the lease of a connection that no caller has got. */
  release(connection: Connection): void
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
  const move = new LeaseMove(connection, failed, reruns, source)
  const whyNot = move.begin()
  if (whyNot === undefined) return true
  move.stay(error, whyNot)
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
  readonly #source: LeaseSource
  /** Where a read is run again. The lease moves when it is clear that it has ended there. */
  #at: Connection
  /** What the last run has failed with. */
  #error: Error
  /** Calls of `query` that came meanwhile. */
  readonly #waiting: (() => unknown)[] = []
  /** What `release` was called with meanwhile. */
  #release: { readonly discard: Error | boolean | undefined } | undefined

  constructor(from: Connection, failed: FailedCall, reruns: Reruns, source: LeaseSource) {
    const { signal } = failed
    const { options } = from.lease
    this.options = signal ? { ...options, signal } : options
    this.stack = from.lease.stack
    this.#from = from
    this.#number = from.lease.number
    this.#failed = failed
    this.#reruns = reruns
    this.#source = source
    this.#at = from
    this.#error = failed.error
    failed.call.client[MOVE](this.#whileMoving(), this.#number)
  }

  /** Waits for another connection. Returns why there is none; undefined if it waits. */
  begin(): string | undefined {
    return inContext(this.#failed.call.context, () => this.#source.reacquire(this, this.#from.lease.askedAt))
  }

  leased(connection: Connection): void {
    const { call, done } = this.#failed
    if (this.#reruns.isPlainRead) return this.#readOn(connection)
    this.#moveTo(connection)
    connection.lease.noteCall(call.client, call.args, this.#reruns)
    this.#runOn(connection, done)
    this.#goOn()
  }

  failed(reason: Error): void {
    const { signal } = this.#failed
    // Its caller has given up: that is what it is told, as if the statement had still run.
    this.#fail(signal?.aborted && isError(signal.reason) ? signal.reason : this.#error, messageOf(reason))
  }

  /** There is no other run: the client stays on the lost connection, and reports this loss. */
  stay(error: Error, whyNot?: string): void {
    if (whyNot !== undefined) this.#reruns.refuse(error, whyNot)
    this.#failed.call.client[MOVE](this.#from, this.#number)
    this.#from.lease.resumeListeners()
  }

  /** Runs a read again. Until it has ended with what its caller is told, the connection isn't the caller's. */
  #readOn(connection: Connection): void {
    const { done } = this.#failed
    this.#at = connection
    this.#runOn(connection, (error, result) => {
      this.#at = this.#from
      if (error && isConnectionLost(error)) {
        this.#source.release(connection)
        return this.#readAgain(error)
      }
      this.#moveTo(connection)
      connection.lease.stay()
      done(error, result)
      this.#goOn()
    })
  }

  /** The read was lost again, or it can't be run again, and the loss before is told. */
  #readAgain(error: Error): void {
    this.#error = error
    if (!this.#reruns.afterError(error)) return this.#fail(error)
    const whyNot = this.begin()
    if (whyNot !== undefined) this.#fail(error, whyNot)
  }

  #fail(told: Error, whyNot?: string): void {
    this.stay(this.#error, whyNot)
    this.#failed.done(told)
    this.#goOn()
  }

  /** The lease goes on on this connection. */
  #moveTo(connection: Connection): void {
    const { client } = this.#failed.call
    const { lease } = connection
    lease.giveToCaller()
    client[MOVE](connection, lease.number)
    lease.attempt?.noteLease(lease, client.release)
    this.#from.lease.moveListenersTo(lease, connection.client)
    if (!this.#release) this.#from.endLease(this.#number)
  }

  #runOn({ client }: Connection, done: Told): void {
    const { signal } = this.#failed
    const run = (): void => this.#reruns.run(client, done)
    if (signal) runInScope({ signal }, run)
    else run()
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
      get: (_, key) => {
        if (key === 'query') return query
        const { client: present } = this.#at
        const value: unknown = Reflect.get(present, key)
        return typeof value === 'function' ? value.bind(present) : value
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
