import { setTimeout as sleep } from 'node:timers/promises'
import type { DataSource, EntityManager } from 'typeorm'
import { SETTINGS } from '../../settings.ts'
import type { Trace } from '../../workload/journal.ts'
import { Declined, type TransferOrder } from '../../workload/transfer-order.ts'
import { type Occupied, occupy } from '../occupy-pool.ts'
import type { Entry, Service } from '../stack.ts'
import { statements } from '../statements.ts'
import type { Transact } from '../transact.ts'
import { account, entry, ledger } from './entities.ts'

/** What the service stands on. */
export interface TypeormSetup {
  readonly dataSource: DataSource
  readonly schema: string
  readonly transact: Transact<EntityManager>
}

/** The service as TypeORM's documentation writes one. */
export class TypeormService implements Service {
  readonly #setup: TypeormSetup
  readonly #slowRead: string

  constructor(setup: TypeormSetup) {
    this.#setup = setup
    this.#slowRead = statements(setup.schema).slowRead
  }

  async read(id: number): Promise<void> {
    await this.#setup.dataSource.getRepository(account).findOneBy({ id })
  }

  async slowRead(): Promise<void> {
    await this.#setup.dataSource.query(this.#slowRead)
  }

  async write({ key, phase }: Entry): Promise<void> {
    await this.#setup.dataSource.getRepository(entry).insert({ key, phase })
  }

  /** @see https://typeorm.io/docs/advanced-topics/transactions */
  async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    trace.step('connect')
    await this.#setup.transact(async (manager) => {
      trace.attempt()
      await move(manager, order, trace)
    })
  }

  async leaveDirty({ key, phase }: Entry): Promise<void> {
    const runner = this.#setup.dataSource.createQueryRunner()
    try {
      await runner.startTransaction()
      await runner.manager.insert(entry, { key, phase })
    } finally {
      await runner.release() // COMMIT was forgotten.
    }
  }

  occupy(count: number, withinMillis: number): Promise<number> {
    const take = async (): Promise<Occupied> => {
      const runner = this.#setup.dataSource.createQueryRunner()
      await runner.connect()
      return { ask: () => runner.query('select 1'), giveBack: () => void runner.release() }
    }
    return occupy(take, count, withinMillis)
  }

  close(): Promise<void> {
    return this.#setup.dataSource.destroy()
  }
}

async function move(manager: EntityManager, order: TransferOrder, trace: Trace): Promise<void> {
  const { key, phase, from, to, amount } = order
  trace.step('update')
  const { raw } = await manager
    .createQueryBuilder()
    .update(account)
    .set({ balance: () => 'balance - :amount' })
    .where('id = :from', { from, amount })
    .returning('balance')
    .execute()
  const [withdrawn] = raw as { balance: number }[]
  if (!withdrawn || withdrawn.balance < 0) throw new Declined(order)
  await sleep(SETTINGS.workInsideTransactionMillis)
  await manager.increment(account, { id: to }, 'balance', amount)
  trace.step('insert')
  await manager.insert(ledger, { key, phase, debited: from, credited: to, amount })
  trace.step('commit')
}
