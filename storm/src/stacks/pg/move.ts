import { setTimeout as sleep } from 'node:timers/promises'
import type { QueryResult } from 'pg'
import { SETTINGS } from '../../settings.ts'
import type { Trace } from '../../workload/journal.ts'
import { Declined, type TransferOrder } from '../../workload/transfer-order.ts'
import type { Statements } from '../statements.ts'

/** A client, or a transaction. */
interface Queryable {
  query<Row extends Record<string, unknown>>(text: string, values: unknown[]): Promise<QueryResult<Row>>
}

/** What is done between BEGIN and COMMIT. */
export async function move(tx: Queryable, sql: Statements, order: TransferOrder, trace: Trace): Promise<void> {
  const { key, phase, from, to, amount } = order
  trace.step('update')
  const { rows } = await tx.query<{ balance: number }>(sql.withdraw, [amount, from])
  if (!rows[0] || rows[0].balance < 0) throw new Declined(order)
  await sleep(SETTINGS.workInsideTransactionMillis)
  await tx.query(sql.deposit, [amount, to])
  trace.step('insert')
  await tx.query(sql.record, [key, phase, from, to, amount])
  trace.step('commit')
}
