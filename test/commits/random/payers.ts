import { CommitOutcomeUnknownError, ConnectionLostError, Pool } from '@holdfast/core'
import pg from 'pg'
import type { ClusterConfig } from '../../support/index.ts'
import { enter, move, type Transfer } from './transfers.ts'

/** Who pays, and how. */
export interface Payer extends AsyncDisposable {
  /** Resolves when it says that the transfer is written. */
  pay(transfer: Transfer): Promise<void>
}

/** The reason that an application got for an unknown outcome; undefined if the error says that nothing was written. */
export function reasonOfDoubt(error: unknown): string | undefined {
  if (error instanceof CommitOutcomeUnknownError) return error.reason
  if (error instanceof ConnectionLostError && error.commitOutcome === 'unknown') return error.message
  return undefined
}

const PATIENCE = { connectionTimeoutMillis: 20_000, query_timeout: 500, max: 16 }

/** As the documentation says. */
export function holdfastPayer(config: ClusterConfig): Payer {
  const pool = new Pool({
    ...config,
    ...PATIENCE,
    closeTimeoutMillis: 500,
    commitTimeoutMillis: 250,
    prePing: { timeoutMillis: 250 },
  })
  const retry = { retries: 100, minTimeout: 1, maxTimeout: 50 }
  return {
    pay: (transfer) =>
      pool.transaction(
        async (tx) => {
          await move(tx, transfer)
          if (transfer.savepoint) await tx.savepoint((inner) => enter(inner, transfer))
          else await enter(tx, transfer)
        },
        { retry },
      ),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}

/** With the pool of pg, and run again as people do by hand. */
export function stockPayer(config: ClusterConfig): Payer {
  const pool = new pg.Pool({ ...config, ...PATIENCE, connectionTimeoutMillis: 2000 })
  const ignore = (): void => {}
  pool.on('error', ignore)
  pool.on('connect', (client) => client.on('error', ignore))
  const payOnce = async (transfer: Transfer): Promise<void> => {
    const client = await pool.connect()
    let failure: Error | undefined
    try {
      await client.query('begin')
      await move(client, transfer)
      await enter(client, transfer)
      await client.query('commit')
    } catch (error) {
      failure = error as Error
      throw error
    } finally {
      client.release(failure)
    }
  }
  return {
    pay: async (transfer) => {
      for (let attempt = 1; ; attempt++)
        try {
          return await payOnce(transfer)
        } catch (error) {
          if (attempt === 100) throw error
        }
    },
    [Symbol.asyncDispose]: async () => {
      for (const { connection } of (pool as unknown as { _clients: pg.Client[] })._clients) connection.stream.destroy()
    },
  }
}
