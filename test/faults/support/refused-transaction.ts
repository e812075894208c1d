import type pg from 'pg'
import { type Cluster, until } from '../../support/index.ts'
import { backendPid } from './pools.ts'

/** What the application refuses of. */
export class NotEnoughMoney extends Error {}

/** A transaction as Drizzle and Kysely write it: the application refuses, but its connection is gone by then. */
export async function refusedTransaction(
  pool: pg.Pool,
  cluster: Cluster,
  { begin = 'begin', rollback }: { readonly begin?: string; readonly rollback: string },
): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query(begin)
    try {
      await cluster.terminateBackends({ pid: await backendPid(client) })
      await until(() => client.connection.stream.destroyed)
      throw new NotEnoughMoney()
    } catch (error) {
      await client.query(rollback)
      throw error
    }
  } finally {
    client.release()
  }
}
