import type { ResetPolicy } from '../options/pool-options.ts'
import { resetAction } from '../policy/reset.ts'
import type { Connection } from './connection.ts'

/** Why a connection could not be cleaned. */
export interface Stain {
  readonly cause: unknown
}

/**
 * Makes a returned connection fit for its next borrower: waits until the server has answered all of the last one's
 * statements, then ends his transaction as the policy says. Undefined if it is clean, or was lost meanwhile.
 */
export async function clean(
  connection: Connection,
  policy: ResetPolicy,
  timeoutMillis: number,
): Promise<Stain | undefined> {
  const isInSync = await connection.synchronized(timeoutMillis)
  if (connection.isLost) return undefined
  if (!isInSync) return { cause: new Error(`Statements of the last borrower still ran after ${timeoutMillis} ms`) }
  const action = resetAction(policy, connection.transactionStatus)
  if (action === 'keep') return undefined
  if (action === 'retire') return { cause: new Error("Returned with an open transaction, under resetOnReturn: 'none'") }
  const cause = await connection.exchange(action, timeoutMillis)
  return cause && { cause }
}
