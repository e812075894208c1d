import type { CommitSettings } from '../commit/settle.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'

/** How long statements may take. */
export interface TimeLimits {
  readonly clock: Clock
  /** The limit of a statement that has none of its own; `Infinity` for none. */
  readonly queryTimeoutMillis: number
  readonly commits: CommitSettings | undefined
}

/**
 * Starts the timeout of a statement; undefined if it has none. `onLate` has to give the connection up, since nothing tells a
 * slow server from a dead one. A COMMIT whose outcome can be resolved has `commitTimeoutMillis` at most.
 */
export function startStatementTimeout(
  { clock, queryTimeoutMillis, commits }: TimeLimits,
  timeoutMillis: number | undefined,
  isResolvableCommit: boolean,
  onLate: (late: Error) => void,
): Cancel | undefined {
  const longest = (isResolvableCommit ? commits?.timeoutMillis : undefined) ?? Number.POSITIVE_INFINITY
  const limit = Math.min(timeoutMillis || queryTimeoutMillis, longest)
  if (limit === Number.POSITIVE_INFINITY) return undefined
  const what = limit === longest ? `No answer to COMMIT within ${limit} ms` : 'Query read timeout'
  return afterPatience(clock, limit, 'process', () => onLate(new Error(what)))
}
