import { ConnectError, PoolClosedError, PoolOverloadedError, PoolTimeoutError } from '@holdfast/core'
import type { QueryResult } from 'pg'
import { PostgresQueryRunner } from 'typeorm/driver/postgres/PostgresQueryRunner.js'

/** A pool whose plain reads may share connections. */
export interface ReadingPool {
  /** Whether this text, sent by this caller, needs no lease of the caller's. */
  mayRead(text: string): boolean
  read(text: string, values: unknown[] | undefined): Promise<QueryResult>
}

type QueryArguments = readonly [text: string, parameters?: unknown[], useStructuredResult?: boolean]

/** What is used of a query runner; some of it is beyond its public types. */
interface Runner {
  readonly driver: { readonly master: unknown; readonly isReplicated: boolean }
  readonly mode: 'master' | 'slave'
  readonly isTransactionActive: boolean
  readonly databaseConnection: unknown
  readonly databaseConnectionPromise: unknown
  query(...args: QueryArguments): Promise<unknown>
  connect(): Promise<unknown>
}

/** The statements of a runner that has asked for no connection so far. */
interface Reads {
  /** Resolves when all reads have ended; undefined if there was none. */
  ended: Promise<void> | undefined
  /** Whether the runner needs a connection by now. */
  areOver: boolean
}

/** Errors of a caller that got no connection. TypeORM doesn't wrap them, since a lease fails before a statement is sent. */
const NOT_SENT = [PoolTimeoutError, PoolOverloadedError, PoolClosedError, ConnectError]

let isPatched = false
const readsOf = new WeakMap<Runner, Reads>()
/** The runner whose `query` is being called for a read, and the client that it gets. */
let reading: { readonly runner: Runner; readonly client: object } | undefined

/**
 * Has query runners lease no connection for a plain read, as long as they have done nothing else. `poolOf` tells which pool is
 * one of ours.
 */
export function patchRunners(poolOf: (master: unknown) => ReadingPool | undefined): void {
  if (isPatched) return
  isPatched = true
  const prototype = PostgresQueryRunner.prototype as unknown as Runner
  const { query, connect } = prototype

  function read(runner: Runner, pool: ReadingPool, args: QueryArguments): Promise<unknown> {
    reading = { runner, client: { query: (text: string, values?: unknown[]) => pool.read(text, values) } }
    try {
      return query.apply(runner, args as never).catch(throwUnwrapped)
    } finally {
      reading = undefined
    }
  }

  prototype.connect = function (this: Runner) {
    return reading?.runner === this ? Promise.resolve(reading.client) : connect.call(this)
  }
  prototype.query = function (this: Runner, ...args: QueryArguments) {
    const pool = poolOf(this.driver.master)
    if (!pool) return query.apply(this, args as never)
    const reads = readsOf.get(this) ?? { ended: undefined, areOver: false }
    readsOf.set(this, reads)
    if (!reads.areOver && isUnused(this) && typeof args[0] === 'string' && pool.mayRead(args[0])) {
      const result = read(this, pool, args)
      reads.ended = Promise.allSettled([reads.ended, result]).then(ignore)
      return result
    }
    reads.areOver = true
    // The statements of a runner run one after the other.
    return reads.ended ? reads.ended.then(() => query.apply(this, args as never)) : query.apply(this, args as never)
  }
}

/** Whether it has no connection, and needs none of a replica. */
function isUnused(runner: Runner): boolean {
  const { driver, mode, isTransactionActive, databaseConnection, databaseConnectionPromise } = runner
  const isOfReplica = mode === 'slave' && driver.isReplicated
  return !(isTransactionActive || isOfReplica || databaseConnection || databaseConnectionPromise)
}

function throwUnwrapped(error: Error & { readonly driverError?: unknown }): never {
  throw NOT_SENT.some((each) => error.driverError instanceof each) ? error.driverError : error
}

function ignore(): void {}
