/**
 * When a connection opened at `openedAt` has lived long enough. `jitter` shortens each life by a random share, so
 * that connections opened together don't all close together.
 */
export function expiryOf(openedAt: number, lifetimeMillis: number, jitter: number, random: number): number {
  return openedAt + lifetimeMillis * (1 - jitter * random)
}
