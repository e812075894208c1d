import { rejection } from '../../faults/support/settling.ts'
import type { Database, TransactionOptions, Tx } from '../subject.ts'

/** SQL that fails with a serialization failure. */
export const CONFLICT = (message: string): string =>
  `do $$ begin raise exception '${message}' using errcode = '40001'; end $$`

/** Runs a transaction that must fail. Returns its attempts and its error. */
export async function attemptsOf(
  database: Database,
  work: (tx: Tx, attempt: number) => Promise<void>,
  options: TransactionOptions,
): Promise<{ readonly attempts: readonly number[]; readonly error: unknown }> {
  const attempts: number[] = []
  const transaction = database.transaction(async (tx, { attempt }) => {
    attempts.push(attempt)
    await work(tx, attempt)
  }, options)
  return { error: await rejection(transaction), attempts }
}
