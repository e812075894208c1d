/** Every error that Holdfast creates. */

export { BudgetError, budgetUsedUp, isBudgetUsedUp } from './errors/budget.ts'
export { HoldfastError } from './errors/holdfast-error.ts'
export {
  addReason,
  type CommitOutcome,
  CommitOutcomeUnknownError,
  ConnectionLostError,
  type Loss,
  type LossPhase,
  lossError,
  type StatementOutcome,
  type TransactionFacts,
  type UnknownCommit,
} from './errors/loss.ts'
export {
  ConnectError,
  connectCauseOf,
  copyOf,
  type Endpoint,
  isOfAllHosts,
  type LeaseUse,
  ListenTimeoutError,
  type LongestLease,
  NoReplicaError,
  noAnswer,
  OptionsError,
  PingTimeoutError,
  PoolClosedError,
  type PoolCounts,
  PoolDeadlockError,
  PoolOverloadedError,
  type PoolTimeoutDetails,
  PoolTimeoutError,
  ReleaseError,
  useIn,
} from './errors/pool.ts'
export {
  TransactionRolledBackError,
  TransactionStateError,
  TransactionTimeoutError,
} from './errors/transaction.ts'
