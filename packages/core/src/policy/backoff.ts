/** How many connections may be opened at the same time while nothing is wrong. */
export const UNPACED: number = Number.POSITIVE_INFINITY

/** Where pacing starts when the server may have just come back. */
export const FIRST_PACE = 1

/** The next pace after a connection was opened: doubled each time, so that nobody stampedes a waking server. */
export function quickened(pace: number, max: number): number {
  return pace >= max ? UNPACED : pace * 2
}

const SHORTEST_ATTEMPT_MILLIS = 1000
const LONGEST_ATTEMPT_MILLIS = 10_000
const ATTEMPTS_PER_DEADLINE = 3

/**
 * How long one attempt to connect may take. A handshake swallowed on the way never ends by itself, so several
 * attempts must fit into one caller's deadline. `Infinity` as deadline means that callers wait for ever.
 */
export function attemptMillis(deadlineMillis: number): number {
  const share = Math.max(SHORTEST_ATTEMPT_MILLIS, deadlineMillis / ATTEMPTS_PER_DEADLINE)
  return Math.round(Math.min(share, deadlineMillis, LONGEST_ATTEMPT_MILLIS))
}
