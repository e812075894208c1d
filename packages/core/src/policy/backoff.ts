/** How many connections may be opened at the same time while nothing is wrong. */
export const UNPACED: number = Number.POSITIVE_INFINITY

/** The pace at which opening starts when the server may have just come back: one at a time. */
export const FIRST_PACE = 1

/** The next pace after a connection was opened. It doubles each time, so that a recovering server isn't flooded. */
export function quickened(pace: number, max: number): number {
  return pace >= max ? UNPACED : pace * 2
}

/**
 * How far a login has come, as seen on its socket:
 * - `unreached`: the connection isn't accepted;
 * - `reached`: it is accepted, and nothing has arrived: the server may be busy, or the network may swallow everything;
 * - `answered`: something has arrived.
 */
export type LoginStage = 'unreached' | 'reached' | 'answered'

const LONGEST_UNREACHED_MILLIS = 2000
const SHORTEST_SHARE_MILLIS = 1000
const LONGEST_SHARE_MILLIS = 10_000
const LOGINS_PER_DEADLINE = 3
const SHARE_OF_AN_ANSWERING_LOGIN = 0.9
const LONGEST_SILENCE_MILLIS = 60_000

/**
 * How long a login may be silent before another one begins beside it. The time doubles with each of the `inVain` logins in a
 * row that came to nothing, but stays within the caller's deadline. A handshake that the network swallows never ends by
 * itself, so the next one must fit into that deadline. But a server that checks a password elsewhere is silent too, so the
 * first login goes on.
 * A deadline of `Infinity` means that callers wait as long as it takes.
 */
export function silenceMillis(stage: LoginStage, deadlineMillis: number, inVain: number): number {
  const share = Math.max(SHORTEST_SHARE_MILLIS, deadlineMillis / LOGINS_PER_DEADLINE)
  const first = {
    unreached: Math.min(share, LONGEST_UNREACHED_MILLIS),
    reached: Math.min(share, LONGEST_SHARE_MILLIS),
    answered: Math.max(SHORTEST_SHARE_MILLIS, deadlineMillis * SHARE_OF_AN_ANSWERING_LOGIN),
  }[stage]
  const longest = Math.max(first, deadlineMillis * SHARE_OF_AN_ANSWERING_LOGIN)
  return Math.round(Math.min(first * 2 ** inVain, longest, LONGEST_SILENCE_MILLIS))
}

/**
 * How long a login may take in all, unless a caller waits as long as it takes. A login on which nothing has arrived gets less
 * time if it holds its slot for nothing: no caller wants it any more, or no other login may begin beside it.
 */
export function longestLoginMillis(stage: LoginStage, deadlineMillis: number, isWanted: boolean): number {
  if (!isWanted && stage !== 'answered') return Math.min(deadlineMillis, LONGEST_SILENCE_MILLIS)
  return deadlineMillis === Number.POSITIVE_INFINITY
    ? LONGEST_SILENCE_MILLIS
    : Math.max(deadlineMillis, LONGEST_SILENCE_MILLIS)
}

/** How long the user's hooks may take with a connection that is logged in, so that another one fits into the deadline. */
export function hooksMillis(deadlineMillis: number): number {
  return silenceMillis('answered', deadlineMillis, 0)
}
