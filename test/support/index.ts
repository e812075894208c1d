export { AimedProxy } from './aimed-proxy.ts'
export type { AimedLink } from './aimed-proxy-link.ts'
export {
  type Act,
  type Aim,
  AimError,
  type AimErrorCode,
  type NamedAct,
  type Point,
  type Shot,
} from './aimed-proxy-shot.ts'
export { Cluster, type ClusterConfig, type ClusterOptions } from './cluster.ts'
export { interruptible, parseCommandLine, parseFolder, parseJsonTarget, parseSeed, UsageError } from './command-line.ts'
export { COLOURS, escaped, picture, round } from './drawing.ts'
export {
  ClusterError,
  type ClusterErrorCode,
  FaultProxyError,
  type FaultProxyErrorCode,
  UntilTimeoutError,
} from './errors.ts'
export { FaultProxy, type LinkSelection, type Selection, type SwallowOptions } from './fault-proxy.ts'
export type { Direction } from './frames.ts'
export { freePort } from './free-port.ts'
export type { Address, CutInsideRecordOptions, CutOptions, Directions, Link, Side } from './link.ts'
export type { StopMode } from './postmaster.ts'
export type { Settings } from './server-settings.ts'
export { areAsMany, type Session, type SessionFilter, type SessionState } from './sessions.ts'
export type { CutKind } from './treatment.ts'
export { type UntilOptions, until } from './until.ts'
