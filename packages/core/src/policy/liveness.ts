import type { PrePing } from '../options/read-values.ts'

/** What is known of a connection that is about to be leased. */
export interface LivenessFacts {
  /** When the server last answered on it. */
  readonly answeredAt: number
  /** Something happened that makes its death likely: the process was suspended, or another connection didn't answer. */
  readonly suspect: boolean
}

/**
 * How a connection proves that it is alive before its next lease:
 * - `ping`: it must answer a ping;
 * - `read`: its socket is read, since unread data may say that the session has ended.
 */
export type Proof = 'ping' | 'read'

/** An answer of the server that is younger counts as the present. A shorter block of the event loop isn't noticed. */
const FRESH_MILLIS = 25

/** Which proof this connection owes; undefined if none. `isBehind`: whether the event loop may have been blocked. */
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
 * So many failed pings in a row are no coincidence. Then all other idle connections are retired without a ping, and the
 * waiter gets a new connection, or learns why there is none.
 */
export const MOST_FAILED_PINGS = 3
