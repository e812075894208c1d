import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import { SETTINGS } from '../settings.ts'
import type { Trace } from '../workload/journal.ts'
import { Declined, type TransferOrder } from '../workload/transfer-order.ts'
import { occupyPool } from './occupy-pool.ts'
import type { Entry, Service } from './stack.ts'
import { type Statements, statements } from './statements.ts'

/** The service as everyone writes it, after the first page of node-postgres' documentation. */
export class PlainService implements Service {
  protected readonly pool: Pool
  protected readonly sql: Statements

  constructor(pool: Pool, schema: string) {
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
    const { key, phase, from, to, amount } = order
    trace.step('connect')
    const client = await this.pool.connect()
    try {
      trace.step('begin')
      await client.query('BEGIN')
      trace.step('update')
      const { rows } = await client.query<{ balance: number }>(this.sql.withdraw, [amount, from])
      if (!rows[0] || rows[0].balance < 0) throw new Declined(order)
      await sleep(SETTINGS.workInsideTransactionMillis)
      await client.query(this.sql.deposit, [amount, to])
      trace.step('insert')
      await client.query(this.sql.record, [key, phase, from, to, amount])
      trace.step('commit')
      await client.query('COMMIT')
    } catch (error) {
      trace.step('rollback')
      await client.query('ROLLBACK')
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
