import type { CommitSettings } from '../commit/settle.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { afterPatience } from '../runtime/deadline.ts'

/** How long statements may take. */
export interface TimeLimits {
  readonly clock: Clock
  /** Without a limit of its own; `Infinity` for none. */
  readonly queryTimeoutMillis: number
  readonly commits: CommitSettings | undefined
}

/**
 * Gives a statement its time. Slow or dead can't be told then, so the others are asked before they are leased again. A
 * COMMIT that can be found out about is given less: `commitTimeoutMillis`.
 */
export function limitStatement(
  { clock, queryTimeoutMillis, commits }: TimeLimits,
  timeoutMillis: number | undefined,
  isFindableCommit: boolean,
  lose: (late: Error) => void,
): Cancel | undefined {
  const longest = (isFindableCommit ? commits?.timeoutMillis : undefined) ?? Number.POSITIVE_INFINITY
  const limit = Math.min(timeoutMillis || queryTimeoutMillis, longest)
  if (limit === Number.POSITIVE_INFINITY) return undefined
  const what = limit === longest ? `No answer to COMMIT within ${limit} ms` : 'Query read timeout'
  return afterPatience(clock, limit, 'process', () => lose(new Error(what)))
}
