import type { PoolClient } from 'pg'
import type { Loss } from '../errors.ts'
import type { RetireReason } from '../policy/retirement.ts'

/** The connection that an event is about. */
export interface EventConnection {
  /** Counts up from 1 within a pool. */
  readonly id: number
  readonly client: PoolClient
  readonly backendPid: number | null
}

/** Everything worth knowing about a pool, in the past tense. Durations in milliseconds. */
export type PoolEvent =
  | { readonly type: 'connection-opened'; readonly connection: EventConnection; readonly tookMillis: number }
  | { readonly type: 'connect-failed'; readonly error: unknown }
  | { readonly type: 'connection-leased'; readonly connection: EventConnection }
  | {
      readonly type: 'connection-released'
      readonly connection: EventConnection
      readonly heldMillis: number
      readonly discard: Error | boolean | undefined
    }
  | {
      readonly type: 'connection-lost'
      readonly connection: EventConnection
      readonly loss: Loss
      readonly wasLeased: boolean
    }
  | {
      readonly type: 'connection-retired'
      readonly connection: EventConnection
      readonly reason: RetireReason
      readonly cause: unknown
    }
  | { readonly type: 'connection-closed'; readonly connection: EventConnection }
  | { readonly type: 'pool-invalidated'; readonly generation: number; readonly cause: unknown }

/** Hears of every event. Must not throw; if it does, that's a warning and nothing else. */
export type Subscriber = (event: PoolEvent) => void

/** Where the engine tells what happened, without knowing who listens. */
export class Publisher {
  readonly #subscribers: Subscriber[] = []
  readonly #poolName: string

  constructor(poolName: string) {
    this.#poolName = poolName
  }

  /** Adds a subscriber for the life of the pool. */
  subscribe(subscriber: Subscriber): void {
    this.#subscribers.push(subscriber)
  }

  /** Tells every subscriber. */
  publish(event: PoolEvent): void {
    for (const subscriber of this.#subscribers) {
      try {
        subscriber(event)
      } catch (error) {
        // A listener's bug must cost neither a connection nor the caller who waits for it.
        process.emitWarning(`A listener of pool '${this.#poolName}' threw on ${event.type}: ${describe(error)}`, {
          type: 'HoldfastWarning',
          code: 'HOLDFAST_LISTENER_THREW',
        })
      }
    }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
