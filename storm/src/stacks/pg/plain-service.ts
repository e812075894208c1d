import type { Pool } from 'pg'
import type { Trace } from '../../workload/journal.ts'
import type { TransferOrder } from '../../workload/transfer-order.ts'
import { occupyPool } from '../occupy-pool.ts'
import type { Entry, Service } from '../stack.ts'
import { type Statements, statements } from '../statements.ts'
import { move } from './move.ts'

/** The service as everyone writes it, after the first page of node-postgres' documentation. */
export class PlainService<Client extends Pool = Pool> implements Service {
  protected readonly pool: Client
  protected readonly sql: Statements

  constructor(pool: Client, schema: string) {
    this.pool = pool
    this.sql = statements(schema)
  }

  async read(account: number): Promise<void> {
    await this.pool.query(this.sql.read, [account])
  }

  async slowRead(): Promise<void> {
    await this.pool.query(this.sql.slowRead)
  }

  async write({ key, phase }: Entry): Promise<void> {
    await this.pool.query(this.sql.write, [key, phase])
  }

  /** @see https://node-postgres.com/features/transactions */
  async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    trace.step('connect')
    const client = await this.pool.connect()
    try {
      trace.step('begin')
      await client.query('BEGIN')
      await move(client, this.sql, order, trace)
      await client.query('COMMIT')
    } catch (error) {
      trace.step('rollback')
      await client.query('ROLLBACK')
      trace.step('rolled back')
      throw error
    } finally {
      client.release()
    }
  }

  async leaveDirty({ key, phase }: Entry): Promise<void> {
    const client = await this.pool.connect()
    try {
      await client.query('BEGIN')
      await client.query(this.sql.write, [key, phase])
    } finally {
      client.release() // COMMIT was forgotten.
    }
  }

  occupy(count: number, withinMillis: number): Promise<number> {
    return occupyPool(this.pool, count, withinMillis)
  }

  close(): Promise<void> {
    return this.pool.end()
  }
}
