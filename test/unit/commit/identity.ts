import type { ServerIdentity, TransactionIdentity } from '../../../packages/core/src/commit/verdict.ts'

/** A session of a server, as the server describes it. */
export const SERVER: ServerIdentity = {
  backendPid: 42,
  backendStart: '1700000000.123456',
  systemIdentifier: '7000000000000000001',
  timeline: '00000001',
  postmasterStart: '1600000000.5',
  statisticsStart: '1600000000.7',
}

/** A transaction of this session, whose COMMIT was lost. */
export const ASKED: TransactionIdentity = { ...SERVER, transactionId: '1000' }
