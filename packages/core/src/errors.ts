/** Every error that Holdfast creates. */

export { HoldfastError } from './errors/holdfast-error.ts'
export {
  type CommitOutcome,
  CommitOutcomeUnknownError,
  ConnectionLostError,
  type Loss,
  type LossPhase,
  lossError,
  neverRan,
  type TransactionFacts,
  type UnknownCommit,
} from './errors/loss.ts'
export {
  ConnectError,
  connectCauseOf,
  copyOf,
  type Endpoint,
  noAnswer,
  OptionsError,
  PoolClosedError,
  type PoolCounts,
  PoolDeadlockError,
  PoolOverloadedError,
  type PoolTimeoutDetails,
  PoolTimeoutError,
  ReleaseError,
} from './errors/pool.ts'
export {
  TransactionRolledBackError,
  TransactionStateError,
  TransactionTimeoutError,
} from './errors/transaction.ts'
