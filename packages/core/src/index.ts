export { checkPool } from './check-pool.ts'
export { physicalClient } from './connection/leased-client-factory.ts'
export type { LeasedClient } from './connection/physical-client.ts'
export {
  BudgetError,
  type CommitOutcome,
  CommitOutcomeUnknownError,
  ConnectError,
  ConnectionLostError,
  type Endpoint,
  HoldfastError,
  type LeaseUse,
  ListenTimeoutError,
  type LongestLease,
  type Loss,
  type LossPhase,
  NoReplicaError,
  OptionsError,
  PingTimeoutError,
  PoolClosedError,
  type PoolCounts,
  PoolDeadlockError,
  PoolOverloadedError,
  type PoolTimeoutDetails,
  PoolTimeoutError,
  ReleaseError,
  type TransactionFacts,
  TransactionRolledBackError,
  TransactionStateError,
  TransactionTimeoutError,
  type UnknownCommit,
} from './errors.ts'
export type { ListenGap, NotificationHandler } from './listen/handlers.ts'
export { measure } from './measure.ts'
export { NullPool, type NullPoolOptions } from './null-pool.ts'
export type { AcquireOptions, DisposeOptions, DrainOptions, PingOptions, ReadyOptions } from './options/call-options.ts'
export type {
  BudgetOptions,
  HostOptions,
  LogFields,
  Logger,
  PoolOptions,
  PrePingOptions,
  PrepareOptions,
  ReplicaOptions,
  ResetFunction,
  ResetInfo,
  ResetPolicy,
  RetryOptions,
  SheddingOptions,
  StructuredLogger,
  TargetSessionAttrs,
  WatchOptions,
} from './options/pool-options.ts'
export { mayShare, readOn, sharesReads } from './plain-reads.ts'
export type { BudgetStatus } from './policy/budget-share.ts'
export { isDisconnect } from './policy/classify-error.ts'
export type { DeadVerdict } from './policy/death.ts'
export type { HostRole } from './policy/host-suitability.ts'
export type { PoolerKind, SessionNeed } from './policy/pooler.ts'
export type { RetireReason } from './policy/retirement.ts'
export { isRetryable } from './policy/retry.ts'
export { Pool } from './pool.ts'
export type { ConnectCallback } from './pool-callers.ts'
export type { ListenOptions, Subscription } from './pool-listen.ts'
export { withPoolOptions } from './runtime/pool-options-scope.ts'
export { sharedPool } from './shared-pool.ts'
export { isSelect } from './sql/statement.ts'
export type { PoolStats } from './telemetry/counts.ts'
export type { PoolEventMessage } from './telemetry/diagnostics-channel.ts'
export type {
  DeadStatement,
  EventConnection,
  EventHost,
  PoolEvent,
  PoolEventType,
  StatementRetryReason,
  WatchLimit,
} from './telemetry/events.ts'
export type { ConnectionInspection, HostStatus, PoolStatus, SlowStatement } from './telemetry/status.ts'
export type { StatementOptions } from './transaction/run-statement.ts'
export { type AttemptInfo, runTransaction, type Transact, type TransactionWork } from './transaction/run-transaction.ts'
export type { Transaction, TransactionFunction } from './transaction/transaction.ts'
export type { AccessMode, IsolationLevel, TransactionOptions } from './transaction/transaction-options.ts'
export { checkRunOptions, type RetryInfo, type RunOptions } from './transaction/transaction-options.ts'
