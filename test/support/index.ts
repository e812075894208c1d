export { Cluster, type ClusterConfig, type ClusterOptions } from './cluster.ts'
export {
  ClusterError,
  type ClusterErrorCode,
  FaultProxyError,
  type FaultProxyErrorCode,
  UntilTimeoutError,
} from './errors.ts'
export { freePort } from './free-port.ts'
export type { StopMode } from './postmaster.ts'
export type { Settings } from './server-settings.ts'
export type { Session, SessionFilter, SessionState } from './sessions.ts'
export { type UntilOptions, until } from './until.ts'
