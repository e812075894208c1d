import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import { SETTINGS } from '../settings.ts'
import type { Trace } from '../workload/journal.ts'
import { Declined, type TransferOrder } from '../workload/transfer-order.ts'
import { occupyPool } from './occupy-pool.ts'
import type { Entry, Service } from './stack.ts'
import { type Statements, statements } from './statements.ts'

/**
 * The service as a careful reader of node-postgres' documentation and issues writes it: a borrowed client has an
 * error listener, a failing ROLLBACK does not hide its cause, and whatever could not be rolled back is released with
 * its error, so that the pool closes it.
 */
export class AdvisedService implements Service {
  readonly #pool: Pool
  readonly #sql: Statements

  constructor(pool: Pool, schema: string) {
    this.#pool = pool
    this.#sql = statements(schema)
  }

  async read(account: number): Promise<void> {
    await this.#pool.query(this.#sql.read, [account])
  }

  async slowRead(): Promise<void> {
    await this.#pool.query(this.#sql.slowRead)
  }

  async write({ key, phase }: Entry): Promise<void> {
    await this.#pool.query(this.#sql.write, [key, phase])
  }

  async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    const { key, phase, from, to, amount } = order
    trace.step('connect')
    const client = await this.#pool.connect()
    client.on('error', logged)
    let broken: Error | undefined
    try {
      trace.step('begin')
      await client.query('BEGIN')
      trace.step('update')
      const { rows } = await client.query<{ balance: number }>(this.#sql.withdraw, [amount, from])
      if (!rows[0] || rows[0].balance < 0) throw new Declined(order)
      await sleep(SETTINGS.workInsideTransactionMillis)
      await client.query(this.#sql.deposit, [amount, to])
      trace.step('insert')
      await client.query(this.#sql.record, [key, phase, from, to, amount])
      trace.step('commit')
      await client.query('COMMIT')
    } catch (error) {
      trace.step('rollback')
      broken = await rollBack(client)
      throw error
    } finally {
      client.off('error', logged)
      client.release(broken)
    }
  }

  async leaveDirty({ key, phase }: Entry): Promise<void> {
    const client = await this.#pool.connect()
    client.on('error', logged)
    let broken: unknown
    try {
      await client.query('BEGIN')
      await client.query(this.#sql.write, [key, phase])
    } catch (error) {
      broken = error
      throw error
    } finally {
      client.off('error', logged)
      client.release(broken !== undefined) // COMMIT was forgotten.
    }
  }

  occupy(count: number, withinMillis: number): Promise<number> {
    return occupyPool(this.#pool, count, withinMillis)
  }

  close(): Promise<void> {
    return this.#pool.end()
  }
}

/** Says why the client is not fit for anyone any more; undefined if it is. */
async function rollBack(client: PoolClient): Promise<Error | undefined> {
  try {
    await client.query('ROLLBACK')
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** A careful service logs here; its log would only be in the way of ours. The next statement rejects anyway. */
function logged(): void {}
