export type { LeasedClient } from './connection/client.ts'
export {
  type CommitOutcome,
  ConnectError,
  ConnectionLostError,
  type Endpoint,
  HoldfastError,
  type LossPhase,
  OptionsError,
  PoolClosedError,
  type PoolTimeoutDetails,
  PoolTimeoutError,
  ReleaseError,
} from './errors.ts'
export type { ConnectRetryOptions, PoolOptions, PrePingOptions, ResetPolicy } from './options/pool-options.ts'
export { isDisconnect, isRetryable } from './policy/classify-error.ts'
export { type ConnectCallback, Pool } from './pool.ts'
