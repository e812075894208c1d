import { setTimeout as sleep } from 'node:timers/promises'
import type { Transaction, TransactionOptions } from '@holdfast/core'
import { SETTINGS } from '../../settings.ts'
import { occupyPool } from '../../stacks/occupy-pool.ts'
import type { Entry, Service } from '../../stacks/stack.ts'
import { type Statements, statements } from '../../stacks/statements.ts'
import type { Trace } from '../../workload/journal.ts'
import { Declined, type TransferOrder } from '../../workload/transfer-order.ts'
import { impatiently, TransactionGivenUp } from './patience.ts'
import type { Pools } from './pools.ts'

/** What the soaked service is made of. */
export interface SoakedServiceSetup {
  readonly pools: Pools
  readonly schema: string
  readonly random: () => number
  /** Lives as long as the process, as the signal of a service's shutdown does: what is left on it adds up. */
  readonly shutdown: AbortSignal
}

/** The storm's service, in all the forms that Holdfast's pool has for it. */
export class SoakedService implements Service {
  readonly #setup: SoakedServiceSetup
  readonly #sql: Statements

  constructor(setup: SoakedServiceSetup) {
    this.#setup = setup
    this.#sql = statements(setup.schema)
  }

  async read(account: number): Promise<void> {
    const { pools, random, shutdown } = this.#setup
    const query = { text: this.#sql.read, values: [account] }
    const choice = random()
    if (choice < 0.25) await pools.pool.query(query)
    else if (choice < 0.5) await pools.pool.query({ ...query, name: 'read' })
    else if (choice < 0.75) await pools.pool.query({ ...query, signal: shutdown })
    else
      await new Promise<void>((resolve, reject) => {
        pools.pool.query(query, (error: Error | undefined) => (error ? reject(error) : resolve()))
      })
  }

  async slowRead(): Promise<void> {
    const { pools, random } = this.#setup
    await impatiently(random, 200, (signal) => pools.pool.query({ text: this.#sql.slowRead, signal }))
  }

  async write({ key, phase }: Entry): Promise<void> {
    const { pools, random } = this.#setup
    const pool = random() < 0.1 ? pools.nullPool : pools.pool
    await pool.query(this.#sql.write, [key, phase])
  }

  async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    const { pools, random, shutdown } = this.#setup
    const pool = random() < 0.1 ? pools.nullPool : pools.pool
    trace.step('connect')
    const run = (options: TransactionOptions): Promise<void> =>
      pool.transaction((tx) => {
        trace.attempt()
        return this.#move(order, trace, tx)
      }, options)
    const choice = random()
    if (choice < 0.3) await run({ resetOnReturn: 'session' })
    else if (choice < 0.6) await run({ isolationLevel: 'repeatable read', signal: shutdown })
    else await impatiently(random, 400, (signal) => run({ signal }), new TransactionGivenUp('Given up'))
  }

  async leaveDirty({ key, phase }: Entry): Promise<void> {
    const client = await this.#setup.pools.pool.connect()
    try {
      await client.query('BEGIN')
      await client.query(this.#sql.write, [key, phase])
    } finally {
      client.release() // COMMIT was forgotten.
    }
  }

  occupy(count: number, withinMillis: number): Promise<number> {
    return occupyPool(this.#setup.pools.pool, count, withinMillis)
  }

  async close(): Promise<void> {
    const { pool, nullPool } = this.#setup.pools
    await Promise.all([pool.end(), nullPool.end()])
  }

  async #move(order: TransferOrder, trace: Trace, tx: Transaction): Promise<void> {
    const { key, phase, from, to, amount } = order
    const { random } = this.#setup
    trace.step('update')
    const { rows } = await tx.query<{ balance: number }>(this.#sql.withdraw, [amount, from])
    if (!rows[0] || rows[0].balance < 0) throw new Declined(order)
    await sleep(SETTINGS.workInsideTransactionMillis)
    if (random() < 0.3) await failInSavepoint(tx)
    await tx.savepoint((inner) => inner.query(this.#sql.deposit, [amount, to]))
    trace.step('insert')
    await tx.query(this.#sql.record, [key, phase, from, to, amount])
    trace.step('commit')
  }
}

/** An attempt inside the transaction that goes wrong, and that the rest of it survives. */
async function failInSavepoint(tx: Transaction): Promise<void> {
  try {
    await tx.savepoint((inner) => inner.savepoint((innermost) => innermost.query('select 1 / 0')))
  } catch (error) {
    if (!isDivisionByZero(error)) throw error
  }
}

function isDivisionByZero(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '22012'
}
