import type { AsyncResource } from 'node:async_hooks'
import type { QueryResult } from 'pg'

/** The method by which the client of a lease goes to another connection. */
export const MOVE: unique symbol = Symbol('move')

/** The method that ties the client of a lease to its connection. */
export const STAY: unique symbol = Symbol('stay')

/** The client of one lease, which can go on on another connection. */
export interface MovableClient {
  query(...args: unknown[]): unknown
  release(discard?: Error | boolean): void
  [MOVE](owner: unknown, number: number): void
}

/** The first call of `query` on the client of a lease. */
export interface FirstCall {
  readonly client: MovableClient
  readonly args: readonly unknown[]
  /** Where it was called, if listeners for `acquire` are to run again there. */
  readonly context: AsyncResource | undefined
  /** How often it has run, if it has failed before. */
  readonly reruns: object | undefined
}

/** This call, and how it has failed. */
export interface FailedCall {
  readonly call: FirstCall
  readonly error: Error
  /** Aborted when its caller gives up. */
  readonly signal: AbortSignal | undefined
  /** Tells its caller. */
  readonly done: (error: Error | null, result?: QueryResult) => void
}

/** Runs a failed first call again. Returns false if its caller has to be told. */
export type RunElsewhere = (failed: FailedCall) => boolean
