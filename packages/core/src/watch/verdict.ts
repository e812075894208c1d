import type { DeadVerdict } from '../policy/death.ts'
import type { WatchLimit } from '../telemetry/events.ts'
import type { SeenSession, SessionIdentity, SessionSight } from './look.ts'

// What two looks at a silent session prove. Pure.

/** Two looks must lie this far apart: a session is reported idle before its answer is sent. In milliseconds. */
export const LEAST_GAP_MILLIS = 250
const LONGEST_GAP_MILLIS = 30_000
/** How far the server's clock may be from where it should be, in milliseconds. */
const CLOCK_MARGIN_MILLIS = 250
/** So many bytes a server receives at once. A larger statement takes time to arrive. */
const SENT_AT_ONCE_BYTES = 16 * 1024
/** The kernel keeps no more than this of what a program has written, and a slow network carries so much in a millisecond. */
const LARGEST_BUFFER_BYTES = 4 * 1024 * 1024
const SLOW_BYTES_PER_MILLI = 128

/** A statement that waits for its answer, in silence. Times are of the monotonic clock, in milliseconds. */
export interface SilentStatement {
  /** Undefined where only the driver knows it. */
  readonly text: string | undefined
  /**
   * - `statement`: the driver sends all of it at once, and reads its answer to the end;
   * - `cursor`: the same, for one portion of rows;
   * - `stream`: COPY and the like; the server may wait for what the program sends.
   */
  readonly kind: 'statement' | 'cursor' | 'stream'
  /** Not after it was sent. */
  readonly notBefore: number
  /** Since when it has been silent: no byte has come since. */
  readonly silentSince: number
  /** How many bytes were written since a moment before it was sent. */
  readonly writtenBytes: number
  /** Whether it is outside of a transaction, and nothing was sent after it: not even a question of the pool's. */
  readonly isAlone: boolean
}

/** One look at its session. */
export interface SessionLook {
  readonly sight: SessionSight
  /** Whether the server that answered is the one that the session is on. */
  readonly isSameServer: boolean
  /** When it was asked and answered, by the monotonic clock. */
  readonly askedAt: number
  readonly answeredAt: number
  /** The server's clock when it answered, in milliseconds since 1970. */
  readonly serverNow: number
  /** Whether everything that was written has left this process. */
  readonly isFlushed: boolean
  /** Whether the socket is being read. */
  readonly isReading: boolean
}

/** What the looks prove so far. */
export type WatchVerdict =
  /** Nothing: the role may not see the session, or another server has answered. */
  | { readonly is: 'hidden'; readonly why: WatchLimit }
  /** The server is at work on it. */
  | { readonly is: 'slow' }
  /** Another look will tell. */
  | { readonly is: 'undecided' }
  | { readonly is: 'dead'; readonly reason: DeadVerdict }

const UNDECIDED: WatchVerdict = { is: 'undecided' }
const SLOW: WatchVerdict = { is: 'slow' }

/**
 * Judges a silent statement by the last look at its session, and the one before.
 *
 * | two looks, 250 ms apart or more, no byte between them | verdict |
 * | --- | --- |
 * | no such session (one look) | dead: session-gone |
 * | active, and doesn't wait for the client | slow |
 * | active, waits for the client to send; all is sent, and it is no COPY | dead: unfinished |
 * | waits for the client to receive, and the socket is being read | dead: answer-stuck |
 * | idle since the same moment | dead: never-arrived, if that is proven; else answer-lost |
 */
export function judgeLooks(
  statement: SilentStatement,
  identity: SessionIdentity,
  clock: ServerClock,
  last: SessionLook,
  before: SessionLook | undefined,
): WatchVerdict {
  if (!last.isSameServer) return { is: 'hidden', why: 'another-server' }
  const { sight } = last
  if (sight === 'gone') return { is: 'dead', reason: 'session-gone' }
  if (sight === 'hidden') return { is: 'hidden', why: 'insufficient-privilege' }
  if (sight.backendStart !== identity.backendStart) return { is: 'dead', reason: 'session-gone' }
  const finding = findingOf(statement, last, sight)
  if (finding === 'slow') return SLOW
  if (!finding || !before || !isConfirmed(finding, statement, last, sight, before)) return UNDECIDED
  if (finding === 'idle')
    return { is: 'dead', reason: hasNeverArrived(statement, clock, last, sight) ? 'never-arrived' : 'answer-lost' }
  return { is: 'dead', reason: finding }
}

type Finding = 'slow' | 'idle' | 'unfinished' | 'answer-stuck'

/** What one look shows. Undefined if it proves nothing, whatever the next one shows. */
function findingOf(statement: SilentStatement, look: SessionLook, sight: SeenSession): Finding | undefined {
  const { kind } = statement
  if (sight.waitEventType === 'Client' && sight.waitEvent === 'ClientWrite')
    return look.isReading ? 'answer-stuck' : undefined
  if (sight.state.startsWith('idle')) {
    // A submittable of another kind may not have sent anything.
    const isSent = look.isFlushed && (kind !== 'stream' || statement.writtenBytes > 0)
    return isSent && look.isReading ? 'idle' : undefined
  }
  if (sight.waitEventType !== 'Client') return 'slow'
  return sight.waitEvent === 'ClientRead' && kind !== 'stream' && look.isFlushed ? 'unfinished' : undefined
}

/** Whether there is enough time between two looks. Where a look takes long, so may the answer. */
export function isApart(before: SessionLook, last: SessionLook): boolean {
  const tookMillis = Math.max(last.answeredAt - last.askedAt, before.answeredAt - before.askedAt)
  return last.askedAt - before.answeredAt >= Math.max(LEAST_GAP_MILLIS, 2 * tookMillis)
}

/** Whether the look before shows the same, long enough before. */
function isConfirmed(
  finding: Finding,
  statement: SilentStatement,
  last: SessionLook,
  sight: SeenSession,
  before: SessionLook,
): boolean {
  const { sight: earlier } = before
  if (typeof earlier !== 'object' || !before.isSameServer || earlier.backendStart !== sight.backendStart) return false
  if (!isApart(before, last)) return false
  if (finding !== findingOf(statement, before, earlier)) return false
  if (earlier.stateChange !== sight.stateChange || earlier.queryStart !== sight.queryStart) return false
  // Its last bytes may be on their way. They have left this process by the look before.
  return finding === 'answer-stuck' || last.askedAt - statement.silentSince >= transferMillis(statement.writtenBytes)
}

/** How long a statement may take to arrive when this process has written it. */
export function transferMillis(bytes: number): number {
  if (bytes <= SENT_AT_ONCE_BYTES) return 0
  return Math.min(bytes, LARGEST_BUFFER_BYTES) / SLOW_BYTES_PER_MILLI
}

/** The server's clock, compared with the monotonic one of this process when the session was opened. In milliseconds. */
export interface ServerClock {
  readonly offset: number
  /** How long the comparison took: it may be wrong by so much. */
  readonly uncertainty: number
}

/**
 * Whether the server has certainly not begun this statement. Its session shows another text; or what it has begun last was
 * begun before this one was sent, by the server's own clock, which hasn't been set meanwhile.
 */
function hasNeverArrived(
  { text, notBefore, isAlone }: SilentStatement,
  clock: ServerClock,
  look: SessionLook,
  sight: SeenSession,
): boolean {
  if (!isAlone || sight.state !== 'idle') return false
  if (showsAnotherText(text, sight.query)) return true
  const offset = look.serverNow - look.answeredAt
  const drift = Math.abs(offset - clock.offset)
  if (drift > CLOCK_MARGIN_MILLIS / 2 + clock.uncertainty + (look.answeredAt - look.askedAt)) return false
  const sentAt = (notBefore + offset) * 1000
  const lastBegun = Math.max(sight.queryStart ?? 0, sight.stateChange)
  return lastBegun < sentAt - CLOCK_MARGIN_MILLIS * 1000
}

/** Compares only what every encoding shows alike. An empty text is shown before the first statement. */
function showsAnotherText(text: string | undefined, shown: string): boolean {
  if (text === undefined || shown === '') return false
  const begin = text.slice(0, shown.length)
  return begin !== shown && isPlain(begin) && isPlain(shown)
}

function isPlain(text: string): boolean {
  return /^[\n\r\t -~]*$/.test(text)
}

/** When the look after so many looks is due, in milliseconds of silence: 0.5, 0.75, 1.5, 3, 6 … seconds, 30 apart at most. */
export function lookDueMillis(silentMillis: number, looks: number): number {
  if (looks === 0) return silentMillis
  const second = silentMillis + Math.max(LEAST_GAP_MILLIS, silentMillis / 2)
  let due = second
  for (let look = 1; look < looks && look < 64; look++) due += Math.min(due, LONGEST_GAP_MILLIS)
  return due
}

/** Whether a session that was told to terminate is where the look before has seen it. Then it can't move any more. */
export function isUnmoved(seen: SessionSight, after: SessionSight | undefined): boolean {
  if (typeof seen !== 'object' || typeof after !== 'object') return false
  const { state, stateChange, queryStart, backendStart } = seen
  return (
    after.state === state &&
    after.stateChange === stateChange &&
    after.queryStart === queryStart &&
    after.backendStart === backendStart
  )
}
