/** Why a connection leaves the pool. */
export type RetireReason =
  | 'lost' // The connection died, or its holder ended it with `client.end()`.
  | 'discarded' // Its holder discarded it: `release(true)`.
  | 'invalidated' // It was opened before the last invalidation.
  | 'expired' // It is older than `maxLifetimeSeconds`.
  | 'max-uses' // It was leased `maxUses` times.
  | 'spoilt' // Its session is broken until it ends: stale caches, a dropped role, an outdated read-only default.
  | 'max-idle' // `maxIdle` other connections are idle.
  | 'disposed' // It was opened before `dispose()`.
  | 'other-process' // It was opened in another process, which this one is a copy of.
  | 'idle-timeout' // It was unused for `idleTimeoutMillis`.
  | 'budget' // Another pool that shares the budget needs it more.
  | 'server-full' // It was unused for a second, and the server was near its limit.
  | 'other-host' // A replica suits again, or this one lags or was promoted: see `replicas`.
  | 'reset-failed' // Its session could not be reset.
  | 'pool-closed' // `end()` was called.

// Complete by its type.
const REASONS: Record<RetireReason, true> = {
  lost: true,
  discarded: true,
  invalidated: true,
  expired: true,
  'max-uses': true,
  spoilt: true,
  'max-idle': true,
  disposed: true,
  'other-process': true,
  'idle-timeout': true,
  budget: true,
  'server-full': true,
  'other-host': true,
  'reset-failed': true,
  'pool-closed': true,
}

/** Each of them. */
export const RETIRE_REASONS: readonly RetireReason[] = Object.keys(REASONS) as RetireReason[]

/** What decides whether a connection may be used again. */
export interface UsageFacts {
  readonly generation: number
  readonly expiresAt: number
  readonly uses: number
}

/** What these facts are measured against. */
export interface UsageLimits {
  /** Connections of an older generation are invalid. */
  readonly oldestGeneration: number
  readonly maxUses: number
}

/** Whether a connection may be used again: undefined if so, else the reason why not. */
export function reasonToRetire(facts: UsageFacts, limits: UsageLimits, now: number): RetireReason | undefined {
  if (facts.generation < limits.oldestGeneration) return 'invalidated'
  if (now >= facts.expiresAt) return 'expired'
  if (facts.uses >= limits.maxUses) return 'max-uses'
  return undefined
}

/**
 * When a connection that was opened at `openedAt` expires. `jitter` shortens each lifetime by a random share, so that
 * connections that were opened together don't all close together.
 */
export function expiryOf(openedAt: number, lifetimeMillis: number, jitter: number, random: number): number {
  return openedAt + lifetimeMillis * (1 - jitter * random)
}
