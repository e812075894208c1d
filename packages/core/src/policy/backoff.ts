/** How many connections may be opened at the same time while nothing is wrong. */
export const UNPACED: number = Number.POSITIVE_INFINITY

/** Where pacing starts when the server may have just come back. */
export const FIRST_PACE = 1

/** The next pace after a connection was opened: doubled each time, so that nobody stampedes a waking server. */
export function quickened(pace: number, max: number): number {
  return pace >= max ? UNPACED : pace * 2
}

const SHORTEST_ATTEMPT_MILLIS = 1000
const LONGEST_FIRST_ATTEMPT_MILLIS = 10_000
const ATTEMPTS_PER_DEADLINE = 3
const LONGEST_ATTEMPT_MILLIS = 60_000

/**
 * How long one attempt to connect may take, after `silentAttempts` in a row that got no answer. A handshake swallowed on
 * the way never ends by itself, so several attempts must fit into one caller's deadline; but a server that is merely
 * slow gets twice the time at each. `Infinity` as deadline means that callers wait for ever.
 */
export function attemptMillis(deadlineMillis: number, silentAttempts: number): number {
  const share = Math.max(SHORTEST_ATTEMPT_MILLIS, deadlineMillis / ATTEMPTS_PER_DEADLINE)
  const first = Math.min(share, LONGEST_FIRST_ATTEMPT_MILLIS)
  return Math.round(Math.min(first * 2 ** silentAttempts, deadlineMillis, LONGEST_ATTEMPT_MILLIS))
}
