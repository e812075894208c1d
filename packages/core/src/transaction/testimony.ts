import type { Row } from '../connection/exchange.ts'
import { codeOf } from '../errors.ts'
import {
  readServer,
  type TransactionIdentity,
  type TransactionStatusThere,
  WHO_ARE_YOU,
  type Witness,
  whatBecameOf,
  whereIs,
} from '../policy/commit-outcome.ts'

const FUTURE = '22023' // invalid_parameter_value: "transaction ID is in the future".

/** Asks over one connection; rejects with the server's error. */
export type Ask = (sql: string) => Promise<readonly Row[]>

/** What a primary says of a transaction. */
export interface Testimony {
  readonly witness: Witness
  /** The transaction's session, if it is there yet. */
  readonly there: { readonly waitEvent: unknown } | undefined
  /** Asked for behind that: whoever is in progress without a session has another one's id. */
  readonly status: TransactionStatusThere
}

/**
 * Has a server say who it is, and what became of a transaction; undefined from a standby. In one transaction, for behind
 * a pooler two statements may be answered by two servers, and a fact of the one be taken for the other's.
 */
export async function hear(transaction: TransactionIdentity, ask: Ask): Promise<Testimony | undefined> {
  await ask('begin read only')
  const testimony = await hearWithin(transaction, ask)
  await ask('rollback')
  return testimony
}

async function hearWithin(transaction: TransactionIdentity, ask: Ask): Promise<Testimony | undefined> {
  const [row] = await ask(WHO_ARE_YOU)
  const server = readServer(row?.server)
  if (!server) return undefined
  const [session] = await ask(whereIs(transaction))
  return {
    witness: { server, nextTransactionId: String(row?.next_xid), isFirstCheckpoint: row?.is_first === 'true' },
    there: session && { waitEvent: session.wait_event },
    status: await statusOf(transaction, ask),
  }
}

async function statusOf(transaction: TransactionIdentity, ask: Ask): Promise<TransactionStatusThere> {
  try {
    const [row] = await ask(whatBecameOf(transaction))
    return (row?.status ?? null) as TransactionStatusThere
  } catch (error) {
    if (codeOf(error) === FUTURE) return 'future'
    throw error
  }
}
