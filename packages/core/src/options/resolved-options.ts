import type { Logger } from './logger.ts'
import type { PrePingOptions, ResetPolicy } from './pool-options.ts'
import type { RetryOptions } from './retry-options.ts'

type Complete<Options> = { readonly [Key in keyof Options]-?: NonNullable<Options[Key]> }

/** When to prove a connection alive before it is leased. */
export type PrePing = Complete<PrePingOptions>

/** How something is retried: p-retry's options. */
export type Retry = Complete<RetryOptions>

/** What of the pool's doings is logged: nothing, what changes, every lease as well. */
export type EchoLevel = false | 'info' | 'debug'

/** The options as the pool works with them: checked, complete and frozen. "Never" is `Infinity`. */
export interface ResolvedOptions {
  readonly max: number
  readonly min: number
  readonly connectionTimeoutMillis: number
  readonly idleTimeoutMillis: number
  readonly maxLifetimeMillis: number
  readonly maxLifetimeJitter: number
  readonly maxUses: number
  readonly maxIdle: number
  readonly maxWaiting: number
  readonly lifo: boolean
  readonly keepaliveMillis: number
  readonly leakDetectionMillis: number
  /** 0 where the server's configuration decides. */
  readonly clientConnectionCheckMillis: number
  readonly allowExitOnIdle: boolean
  readonly clientPerLease: boolean
  readonly prePing: PrePing | false
  /** Also for pings that have nothing to do with a lease. */
  readonly pingTimeoutMillis: number
  readonly invalidateOnDisconnect: 'all' | 'one'
  readonly resetOnReturn: ResetPolicy
  readonly connectRetry: Retry | false
  readonly closeTimeoutMillis: number
  readonly queryTimeoutMillis: number
  /** What to tell where the server can't be reached and nothing has said where it is. */
  readonly addressHint: string | undefined
  readonly lostCommit: 'resolve' | 'report'
  readonly commitTimeoutMillis: number
  readonly name: string
  readonly echo: EchoLevel
  readonly logger: Logger | undefined
}

/** The values of absent options, in the units in which users give them. */
export interface Defaults {
  readonly max: number
  readonly min: number
  readonly connectionTimeoutMillis: number
  readonly idleTimeoutMillis: number
  readonly maxLifetimeSeconds: number
  readonly maxLifetimeJitter: number
  readonly maxUses: number
  readonly maxWaiting: number
  readonly lifo: boolean
  readonly keepaliveMillis: number
  readonly leakDetectionMillis: number
  readonly clientConnectionCheckMillis: number
  readonly allowExitOnIdle: boolean
  readonly clientPerLease: boolean
  readonly prePing: PrePing
  readonly invalidateOnDisconnect: 'all' | 'one'
  readonly resetOnReturn: ResetPolicy
  readonly connectRetry: Retry
  readonly closeTimeoutMillis: number
  readonly lostCommit: 'resolve' | 'report'
  readonly commitTimeoutMillis: number
  readonly keepAlive: boolean
  readonly name: string
}
