import type { PrePing } from '../options/resolved-options.ts'

/** What there is to know of a connection about to be leased. */
export interface LivenessFacts {
  /** When the server last answered on it. */
  readonly answeredAt: number
  /** Something happened that makes its death likely: the process was frozen, a neighbour did not answer. */
  readonly suspect: boolean
}

/** Whether this connection must answer a ping before its next lease. */
export function mustPing({ answeredAt, suspect }: LivenessFacts, prePing: PrePing | false, now: number): boolean {
  if (prePing === false) return false
  return suspect || now - answeredAt >= prePing.idleMillis
}

/**
 * So many failed pings in a row are no coincidence: what else lies idle is retired unasked, and the caller gets a
 * new connection, or learns why there is none.
 */
export const MOST_FAILED_PINGS = 3
