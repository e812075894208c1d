import { codeOf } from '../thrown.ts'
import { digitsIn, type Row, truthIn, wordIn } from './answer.ts'
import {
  IDENTIFY_SERVER,
  type ReportedState,
  type ReportedXidStatus,
  readServer,
  sessionQuery,
  type TransactionIdentity,
  xidStatusQuery,
} from './verdict.ts'

const FUTURE = '22023' // invalid_parameter_value: "transaction ID is in the future".

/** Asks over one connection; rejects with the server's error. */
export type Ask = (sql: string) => Promise<readonly Row[]>

/** What a primary says of a transaction. */
export interface ServerReport {
  readonly witness: ReportedState
  /** The transaction's session, if it is there yet. */
  readonly there: { readonly waitEvent: unknown } | undefined
  /** Asked for behind that: whoever is in progress without a session has another one's id. */
  readonly status: ReportedXidStatus
}

/**
 * Has a server say who it is, and what became of a transaction; undefined from a standby. In one transaction, for behind
 * a pooler two statements may be answered by two servers, and a fact of the one be taken for the other's.
 */
export async function readServerReport(transaction: TransactionIdentity, ask: Ask): Promise<ServerReport | undefined> {
  await ask('begin read only')
  const testimony = await hearWithin(transaction, ask)
  await ask('rollback')
  return testimony
}

async function hearWithin(transaction: TransactionIdentity, ask: Ask): Promise<ServerReport | undefined> {
  const [row] = await ask(IDENTIFY_SERVER)
  if (!row) return undefined
  const witness = witnessIn(row)
  const [session] = await ask(sessionQuery(transaction))
  return {
    witness,
    there: session && { waitEvent: session.wait_event },
    status: await statusOf(transaction, ask),
  }
}

function witnessIn({ server: told, next_xid, is_first }: Row): ReportedState {
  const server = readServer(told)
  const nextTransactionId = digitsIn(next_xid)
  const isFirstCheckpoint = truthIn(is_first)
  if (!server || nextTransactionId === undefined || isFirstCheckpoint === undefined)
    throw new Error('what the server says of itself makes no sense')
  return { server, nextTransactionId, isFirstCheckpoint }
}

async function statusOf(transaction: TransactionIdentity, ask: Ask): Promise<ReportedXidStatus> {
  try {
    const [row] = await ask(xidStatusQuery(transaction))
    if (row?.status === null) return null
    const status = wordIn(row?.status, ['committed', 'aborted', 'in progress'])
    if (!status) throw new Error('what the server says of the transaction makes no sense')
    return status
  } catch (error) {
    if (codeOf(error) === FUTURE) return 'future'
    throw error
  }
}
