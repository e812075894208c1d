import type { Retry } from '../options/read-values.ts'

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

const FIRST_SILENCE_MILLIS = 1000
const LONGEST_UNREACHED_MILLIS = 4000
const LONGEST_ANSWERED_MILLIS = 5000
const SHARE_OF_THE_DEADLINE = 0.9
const LONGEST_SILENCE_MILLIS = 60_000

/**
 * How long a login may be silent before another one begins beside it: a second, which is many round trips, and longer if
 * something has arrived, since the way works, and the server may be checking a password elsewhere. The time doubles with each of
 * the `inVain` logins in a row that came to nothing, but stays within the caller's deadline; to 4 s if the server isn't even reached,
 * since no slow server explains that. A handshake that the network swallows never ends by itself. But a slow one does, so the
 * first login goes on.
 * A deadline of `Infinity` means that callers wait as long as it takes. Where the next one leads to another host, the user says
 * how long the first one may be silent (`firstMillis`).
 */
export function silenceMillis(
  stage: LoginStage,
  deadlineMillis: number,
  inVain: number,
  firstMillis: number = FIRST_SILENCE_MILLIS,
): number {
  const share = Math.max(firstMillis, deadlineMillis * SHARE_OF_THE_DEADLINE)
  const longest = stage === 'unreached' ? Math.min(share, Math.max(LONGEST_UNREACHED_MILLIS, firstMillis)) : share
  const first = stage === 'answered' ? Math.min(longest, LONGEST_ANSWERED_MILLIS) : firstMillis
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
  const share = Math.max(FIRST_SILENCE_MILLIS, deadlineMillis * SHARE_OF_THE_DEADLINE)
  return Math.round(Math.min(share, LONGEST_SILENCE_MILLIS))
}

const LONGEST_KNOCK_MILLIS = 200
/** The pause until all hosts of a list are tried again. */
export const HOSTS_PAUSE_MILLIS = 100

/**
 * How long to wait after so many `failures` to connect in a row, by the options of p-retry. If the last was refused at once
 * (`isRefused`), 200 ms at most: that costs a server nothing, and the pool is back as soon as the server. The shortest pause that
 * the user has set is kept. `random` spreads the pools that have lost the same server. `longestMillis`: where there are several
 * hosts, all of them are tried again sooner.
 */
export function pauseMillis(
  retry: Retry,
  failures: number,
  isRefused: boolean,
  random: number,
  longestMillis: number = LONGEST_KNOCK_MILLIS,
): number {
  const { minTimeout, maxTimeout, factor, randomize } = retry
  const spread = randomize ? 1 + random : 1
  const backoff = Math.min(minTimeout * factor ** (failures - 1) * spread, maxTimeout)
  const knock = Math.max(minTimeout, randomize ? longestMillis * (1 - random / 2) : longestMillis)
  return Math.round(isRefused ? Math.min(backoff, knock) : backoff)
}
