import type { PrePing } from '../options/resolved-options.ts'

/** What there is to know of a connection about to be leased. */
export interface LivenessFacts {
  /** When the server last answered on it. */
  readonly answeredAt: number
  /** Something happened that makes its death likely: the process was frozen, a neighbour did not answer. */
  readonly suspect: boolean
}

/**
 * How a connection proves that it is alive before its next lease:
 * - `ping`: it must answer one;
 * - `read`: what lies unread in its socket is read, which may be the news of its end.
 */
export type Proof = 'ping' | 'read'

/** What the server has said so lately is taken for the present: no event loop that is blocked for less is told. */
const FRESH_MILLIS = 25

/** Which proof this connection owes; undefined if none. `isBehind` tells whether the event loop may have been blocked. */
export function proofDue(
  { answeredAt, suspect }: LivenessFacts,
  prePing: PrePing | false,
  now: number,
  isBehind: (now: number) => boolean,
): Proof | undefined {
  const silentMillis = now - answeredAt
  if (prePing !== false && (suspect || silentMillis >= prePing.idleMillis)) return 'ping'
  return silentMillis > FRESH_MILLIS && isBehind(now) ? 'read' : undefined
}

/**
 * So many failed pings in a row are no coincidence: what else lies idle is retired unasked, and the caller gets a
 * new connection, or learns why there is none.
 */
export const MOST_FAILED_PINGS = 3
