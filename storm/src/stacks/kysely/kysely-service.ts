import { setTimeout as sleep } from 'node:timers/promises'
import { type Kysely, sql, type Transaction } from 'kysely'
import type { Pool } from 'pg'
import { SETTINGS } from '../../settings.ts'
import type { Trace } from '../../workload/journal.ts'
import { Declined, type TransferOrder } from '../../workload/transfer-order.ts'
import { occupyPool } from '../occupy-pool.ts'
import type { Entry, Service } from '../stack.ts'
import { statements } from '../statements.ts'
import type { Transact } from '../transact.ts'
import type { Database } from './database.ts'

/** What the service stands on. */
export interface KyselySetup {
  readonly db: Kysely<Database>
  readonly pool: Pool
  readonly schema: string
  readonly transact: Transact<Transaction<Database>>
}

/** The service as Kysely's documentation writes one. */
export class KyselyService implements Service {
  readonly #setup: KyselySetup
  readonly #slowRead: string

  constructor(setup: KyselySetup) {
    this.#setup = setup
    this.#slowRead = statements(setup.schema).slowRead
  }

  async read(account: number): Promise<void> {
    await this.#setup.db.selectFrom('account').select('balance').where('id', '=', account).execute()
  }

  async slowRead(): Promise<void> {
    await sql.raw(this.#slowRead).execute(this.#setup.db)
  }

  async write({ key, phase }: Entry): Promise<void> {
    await this.#setup.db.insertInto('entry').values({ key, phase }).execute()
  }

  /** @see https://kysely.dev/docs/examples/transactions/simple-transaction */
  async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    trace.step('connect')
    await this.#setup.transact(async (trx) => {
      trace.attempt()
      await move(trx, order, trace)
    })
  }

  async leaveDirty({ key, phase }: Entry): Promise<void> {
    await this.#setup.db.connection().execute(async (connection) => {
      await sql`begin`.execute(connection)
      await connection.insertInto('entry').values({ key, phase }).execute() // COMMIT was forgotten.
    })
  }

  occupy(count: number, withinMillis: number): Promise<number> {
    return occupyPool(this.#setup.pool, count, withinMillis)
  }

  /** Ends the pool, too. */
  close(): Promise<void> {
    return this.#setup.db.destroy()
  }
}

async function move(trx: Transaction<Database>, order: TransferOrder, trace: Trace): Promise<void> {
  const { key, phase, from, to, amount } = order
  const add = (id: number, by: number) =>
    trx
      .updateTable('account')
      .set(({ eb }) => ({ balance: eb('balance', '+', by) }))
      .where('id', '=', id)
  trace.step('update')
  const withdrawn = await add(from, -amount).returning('balance').executeTakeFirst()
  if (!withdrawn || withdrawn.balance < 0) throw new Declined(order)
  await sleep(SETTINGS.workInsideTransactionMillis)
  await add(to, amount).execute()
  trace.step('insert')
  await trx.insertInto('ledger').values({ key, phase, debited: from, credited: to, amount }).execute()
  trace.step('commit')
}
