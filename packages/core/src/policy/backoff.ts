/** How many connections may be opened at the same time while nothing is wrong. */
export const UNPACED: number = Number.POSITIVE_INFINITY

/** Where pacing starts when the server may have just come back. */
export const FIRST_PACE = 1

/** The next pace after a connection was opened: doubled each time, so that nobody stampedes a waking server. */
export function quickened(pace: number, max: number): number {
  return pace >= max ? UNPACED : pace * 2
}

/**
 * How far a login has come, as seen on its socket: nobody has accepted the connection; it is accepted, but the other side
 * has said nothing (it may work, or something on the way swallows everything); or something has been heard.
 */
export type LoginStage = 'unreached' | 'reached' | 'heard'

const LONGEST_UNREACHED_MILLIS = 2000
const SHORTEST_SHARE_MILLIS = 1000
const LONGEST_SHARE_MILLIS = 10_000
const LOGINS_PER_DEADLINE = 3
const SHARE_OF_A_HEARD_LOGIN = 0.9
const LONGEST_SILENCE_MILLIS = 60_000

/**
 * For how long a login may be silent before another one begins beside it, after `inVain` in a row that have come to nothing:
 * twice as long after each. A handshake that is swallowed on the way never ends by itself, so the next one must fit into
 * the caller's deadline; but a server that checks a password elsewhere says nothing meanwhile, and is left to it.
 * `Infinity` as deadline means that callers wait as long as it takes.
 */
export function silenceMillis(stage: LoginStage, deadlineMillis: number, inVain: number): number {
  const share = Math.max(SHORTEST_SHARE_MILLIS, deadlineMillis / LOGINS_PER_DEADLINE)
  const first = {
    unreached: Math.min(share, LONGEST_UNREACHED_MILLIS),
    reached: Math.min(share, LONGEST_SHARE_MILLIS),
    heard: Math.max(SHORTEST_SHARE_MILLIS, deadlineMillis * SHARE_OF_A_HEARD_LOGIN),
  }[stage]
  return Math.round(Math.min(first * 2 ** inVain, LONGEST_SILENCE_MILLIS))
}

/**
 * How long a login may last altogether, unless somebody waits as long as it takes. One that nobody waits for any more, and
 * on which nothing was ever heard, takes a slot for nothing.
 */
export function longestLoginMillis(stage: LoginStage, deadlineMillis: number, isWanted: boolean): number {
  if (!isWanted && stage !== 'heard') return Math.min(deadlineMillis, LONGEST_SILENCE_MILLIS)
  return deadlineMillis === Number.POSITIVE_INFINITY
    ? LONGEST_SILENCE_MILLIS
    : Math.max(deadlineMillis, LONGEST_SILENCE_MILLIS)
}

/** How long the user's hooks may take with a connection that is logged in: so that another fits into the deadline. */
export function hooksMillis(deadlineMillis: number): number {
  return silenceMillis('heard', deadlineMillis, 0)
}
