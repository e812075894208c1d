/** Why a connection leaves the pool. */
export type RetireReason =
  | 'lost' // It died, or its holder ended it.
  | 'discarded' // Its holder said so: `release(true)`.
  | 'invalidated' // Opened before the last invalidation.
  | 'expired' // Older than `maxLifetimeSeconds`.
  | 'max-uses' // Leased `maxUses` times.
  | 'spoilt' // Its session is broken, and would be until it ends: stale caches, a dropped role, an outdated read-only default.
  | 'max-idle' // `maxIdle` lie idle already.
  | 'disposed' // Opened before `dispose()`.
  | 'other-process' // Opened in the process that this one is a copy of.
  | 'idle-timeout' // Unused for `idleTimeoutMillis`.
  | 'reset-failed' // Its session could not be reset.
  | 'pool-closed'

/** What decides whether a connection may be used again. */
export interface UsageFacts {
  readonly generation: number
  readonly expiresAt: number
  readonly uses: number
}

/** What it is measured against. */
export interface UsageLimits {
  readonly currentGeneration: number
  readonly maxUses: number
}

/** May this connection be used again? Undefined if so, else the reason why not. */
export function reasonToRetire(facts: UsageFacts, limits: UsageLimits, now: number): RetireReason | undefined {
  if (facts.generation < limits.currentGeneration) return 'invalidated'
  if (now >= facts.expiresAt) return 'expired'
  if (facts.uses >= limits.maxUses) return 'max-uses'
  return undefined
}
