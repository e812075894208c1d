import type { QueryResult } from 'pg'
import { tieToConnection } from './connection/leased-client-factory.ts'
import type { LeasedClient } from './connection/physical-client.ts'
import type { Engine } from './engine/engine.ts'
import type { AcquireOptions } from './options/call-options.ts'
import {
  acquireOptionsIn,
  type ConnectCallback,
  failureOf,
  type PoolStatement,
  type ResultCallback,
  runStatement,
} from './pool-callers.ts'
import type { RerunSource, Reruns } from './rerun/reruns.ts'
import { systemClock } from './runtime/clock.ts'

/** Calls `connect()` with these options. */
type Connect = (options: AcquireOptions | undefined, callback: ConnectCallback) => void

/** A statement whose client comes from a `connect()` that the user has overridden or instrumented. */
class QueryThroughConnect implements PoolStatement<LeasedClient> {
  readonly query: unknown
  readonly values: unknown[] | undefined
  readonly done: ResultCallback
  readonly source: RerunSource
  reruns: Reruns | undefined = undefined
  wasFollowed = false
  readonly #connect: Connect
  readonly #until: number

  /** Runs again until this time. */
  constructor(
    query: unknown,
    values: unknown[] | undefined,
    done: ResultCallback,
    source: RerunSource,
    connect: Connect,
    until: number,
  ) {
    this.query = query
    this.values = values
    this.done = done
    this.source = source
    this.#connect = connect
    this.#until = until
  }

  tell(error: Error | undefined, result?: QueryResult): void {
    this.done(error, result)
  }

  run(options: AcquireOptions | undefined = acquireOptionsIn(this.query)): void {
    this.#connect(options, (error, client) => {
      if (error || !client) return this.done(error && failureOf(this, error))
      tieToConnection(client)
      runStatement(this, client, client, false)
    })
  }

  /** Nothing shares its connection. */
  hasMadeWay(): boolean {
    return false
  }

  release(client: LeasedClient): void {
    client.release()
  }

  reacquire(): string | undefined {
    const left = this.#until - systemClock.now()
    if (left <= 0) return 'its caller has no time left'
    const connectionTimeoutMillis = left === Number.POSITIVE_INFINITY ? 0 : left
    this.run({ ...acquireOptionsIn(this.query), connectionTimeoutMillis })
    return undefined
  }
}

/** Calls a `connect` that isn't the pool's own: pg-pool's, which is instrumented, or one that the user has overridden. */
export class ForeignConnect {
  /** The options of the call that runs just now. */
  options: AcquireOptions | undefined = undefined

  call<Result>(options: AcquireOptions | undefined, connect: () => Result): Result {
    this.options = options
    try {
      return connect()
    } finally {
      this.options = undefined
    }
  }

  /** Calls pg-pool's own `connect`, which is instrumented, and which calls `newClient`. */
  connect(
    pool: object,
    connect: (callback: never) => unknown,
    callback: ConnectCallback | undefined,
    options: AcquireOptions | undefined,
  ): Promise<LeasedClient> | undefined {
    return this.call(options, () => connect.call(pool, callback as never)) as Promise<LeasedClient> | undefined
  }

  /** A `connect` that the user has overridden (to set a role, a search path) holds for every statement, as with pg. */
  query(
    pool: { connect(callback: ConnectCallback): void },
    engine: Engine,
    query: unknown,
    values: unknown[] | undefined,
    done: ResultCallback,
  ): void {
    const connect: Connect = (options, callback) => this.call(options, () => pool.connect(callback))
    const until = systemClock.now() + engine.options.connectionTimeoutMillis
    new QueryThroughConnect(query, values, done, engine, connect, until).run()
  }
}
