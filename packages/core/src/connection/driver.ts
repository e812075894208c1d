import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Client } from 'pg'
import type { TransactionStatus } from '../policy/reset.ts'

/**
 * What the pool relies on in a `pg.Client` beyond its documented surface; read in pg 8.21 to 8.23. Nothing else in the
 * package touches the driver's private parts.
 */
export interface DriverInternals {
  /** Whether the server has answered everything that was sent (ReadyForQuery). */
  readonly readyForQuery?: boolean
  /** The protocol layer: emits `errorMessage` and `readyForQuery`; its stream is replaced when TLS starts. */
  readonly connection: EventEmitter & { readonly stream: Duplex }
  readonly connectionParameters: { query_timeout: number | false }
  readonly processID: number | null
  getTransactionStatus(): TransactionStatus
}

/** The private parts of a client. */
export function internalsOf(client: Client): DriverInternals {
  return client as unknown as DriverInternals
}

/** The driver's own methods, for statements of the pool: not refused outside a lease, not counted as the borrower's. */
export interface Driver {
  query(client: Client, sql: string, done: (error: Error | null) => void): void
  end(client: Client): void
}

/** Takes the driver's methods from its class, so that what a subclass overrides is passed by. */
export function driverOf(base: typeof Client): Driver {
  const { query, end } = base.prototype as unknown as DriverMethods
  return {
    query: (client, sql, done) => query.call(client, sql, undefined, done),
    end: (client) => end.call(client, () => {}),
  }
}

interface DriverMethods {
  query(this: Client, sql: string, values: undefined, done: (error: Error | null) => void): void
  end(this: Client, done: () => void): void
}
