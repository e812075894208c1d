import { setTimeout as sleep } from 'node:timers/promises'
import { eq, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Pool } from 'pg'
import { SETTINGS } from '../../settings.ts'
import type { Trace } from '../../workload/journal.ts'
import { Declined, type TransferOrder } from '../../workload/transfer-order.ts'
import { occupyPool } from '../occupy-pool.ts'
import type { Entry, Service } from '../stack.ts'
import { statements } from '../statements.ts'
import type { Transact } from '../transact.ts'
import { tablesIn } from './tables.ts'

type Tx = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0]

/** What the service stands on. */
export interface DrizzleSetup {
  readonly db: NodePgDatabase
  readonly pool: Pool
  readonly schema: string
  readonly transact: Transact<Tx>
}

/** The service as Drizzle's documentation writes one. */
export class DrizzleService implements Service {
  readonly #setup: DrizzleSetup
  readonly #tables: ReturnType<typeof tablesIn>
  readonly #slowRead: string

  constructor(setup: DrizzleSetup) {
    this.#setup = setup
    this.#tables = tablesIn(setup.schema)
    this.#slowRead = statements(setup.schema).slowRead
  }

  async read(id: number): Promise<void> {
    const { account } = this.#tables
    await this.#setup.db.select({ balance: account.balance }).from(account).where(eq(account.id, id))
  }

  async slowRead(): Promise<void> {
    await this.#setup.db.execute(sql.raw(this.#slowRead))
  }

  async write(entry: Entry): Promise<void> {
    await this.#setup.db.insert(this.#tables.entry).values(entry)
  }

  /** @see https://orm.drizzle.team/docs/transactions */
  async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    trace.step('connect')
    await this.#setup.transact(async (tx) => {
      trace.attempt()
      await this.#move(tx, order, trace)
    })
  }

  /** Drizzle ends its transactions by itself. This one is begun by hand on a client of the pool, and not ended. */
  async leaveDirty({ key, phase }: Entry): Promise<void> {
    const client = await this.#setup.pool.connect()
    try {
      await client.query('begin')
      await client.query(statements(this.#setup.schema).write, [key, phase])
    } finally {
      client.release() // COMMIT was forgotten.
    }
  }

  occupy(count: number, withinMillis: number): Promise<number> {
    return occupyPool(this.#setup.pool, count, withinMillis)
  }

  close(): Promise<void> {
    return this.#setup.pool.end()
  }

  async #move(tx: Tx, order: TransferOrder, trace: Trace): Promise<void> {
    const { account, ledger } = this.#tables
    const { key, phase, from, to, amount } = order
    const add = (id: number, by: number) =>
      tx
        .update(account)
        .set({ balance: sql`${account.balance} + ${by}` })
        .where(eq(account.id, id))
    trace.step('update')
    const [withdrawn] = await add(from, -amount).returning({ balance: account.balance })
    if (!withdrawn || withdrawn.balance < 0) throw new Declined(order)
    await sleep(SETTINGS.workInsideTransactionMillis)
    await add(to, amount)
    trace.step('insert')
    await tx.insert(ledger).values({ key, phase, debited: from, credited: to, amount })
    trace.step('commit')
  }
}
