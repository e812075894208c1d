import { digitsIn, type Row, truthIn, wordIn } from '../policy/answer.ts'
import {
  readServer,
  type TransactionIdentity,
  type TransactionStatusThere,
  WHO_ARE_YOU,
  type Witness,
  whatBecameOf,
  whereIs,
} from '../policy/commit-outcome.ts'
import { codeOf } from '../thrown.ts'

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
  if (!row) return undefined
  const witness = witnessIn(row)
  const [session] = await ask(whereIs(transaction))
  return {
    witness,
    there: session && { waitEvent: session.wait_event },
    status: await statusOf(transaction, ask),
  }
}

function witnessIn({ server: told, next_xid, is_first }: Row): Witness {
  const server = readServer(told)
  const nextTransactionId = digitsIn(next_xid)
  const isFirstCheckpoint = truthIn(is_first)
  if (!server || nextTransactionId === undefined || isFirstCheckpoint === undefined)
    throw new Error('what the server says of itself makes no sense')
  return { server, nextTransactionId, isFirstCheckpoint }
}

async function statusOf(transaction: TransactionIdentity, ask: Ask): Promise<TransactionStatusThere> {
  try {
    const [row] = await ask(whatBecameOf(transaction))
    if (row?.status === null) return null
    const status = wordIn(row?.status, ['committed', 'aborted', 'in progress'])
    if (!status) throw new Error('what the server says of the transaction makes no sense')
    return status
  } catch (error) {
    if (codeOf(error) === FUTURE) return 'future'
    throw error
  }
}
