import type { StatementOutcome } from '../errors.ts'
import { type CommitManner, mannerOf } from '../sql/statement.ts'
import { codeOf, propertyOf } from '../thrown.ts'
import { proofOfDeath } from './death.ts'
import { severityOf } from './sqlstate.ts'

/** What is known of a statement that was sent, when the server has sent an error or its connection was lost. */
export interface StatementFacts {
  /** The SQLSTATE of the error; undefined if the connection ended without one. */
  readonly code: string | undefined
  /** The routine of the server that reported the error. PostgreSQL always tells it, and poolers don't. */
  readonly routine: string | undefined
  /** `ERROR`, `FATAL` or `PANIC`. The server translates it, so any other word proves nothing. */
  readonly severity: string | undefined
  /** Whether the server has said that the statement is complete (CommandComplete). */
  readonly isComplete: boolean
  readonly protocol: 'simple' | 'extended'
  readonly manner: CommitManner
}

/** Where a server looks whether it has to end the session: never between writing a commit record and saying so. */
const INTERRUPTS = /^(?:ProcessInterrupts|ProcessRecoveryConflictInterrupts?)$/
/** With these codes it ends the session there. 40001 is a conflict with the recovery of a standby, 57P04 a dropped database. */
const ENDS = new Set(['57P01', '57P05', '25P03', '25P04', '57P04', '40001'])
const CANCELLED = '57014' // query_canceled
/** statement_completion_unknown, transaction_resolution_unknown: the server itself doesn't know. */
const UNKNOWN = new Set(['40003', '08007'])
/** Waits for a synchronous standby, when the commit record has been written. Its message is only a notice. */
const WAIT_FOR_STANDBY = 'SyncRepWaitForLSN'

/**
 * What became of a statement outside of a transaction, or of a COMMIT, by what the server has said of it:
 *
 * | the server said | simple protocol | extended protocol |
 * | --- | --- | --- |
 * | FATAL at a look for interrupts, statement not complete | rolled back | rolled back |
 * | ERROR, statement not complete | rolled back | rolled back |
 * | complete, then an error or the end | committed | unknown; ERROR: rolled back, except for a late cancel |
 * | COMMIT is complete, then an error or the end | committed | committed |
 * | 57P01 as a notice, while it waited for a synchronous standby | committed | committed |
 * | anything else, or nothing | unknown | unknown |
 *
 * Between the commit record and CommandComplete, PostgreSQL doesn't look for interrupts: an error from there, without
 * CommandComplete before it, came before the commit. In the extended protocol a statement commits at Sync, after its
 * CommandComplete. None of this holds for what commits on its way, and a statement that only concerns its session has left
 * nothing behind: see `CommitManner`.
 */
export function outcomeOf(facts: StatementFacts): Exclude<StatementOutcome, 'never-ran'> {
  const { code = '', manner, isComplete } = facts
  if (manner === 'never') return 'rolled-back'
  if (UNKNOWN.has(code)) return 'unknown'
  if (isComplete) return outcomeOfComplete(facts)
  if (code === '57P01' && facts.routine === WAIT_FOR_STANDBY) return 'committed'
  if (manner === 'on its way' || manner === 'several') return 'unknown'
  return isInterrupt(facts) || isPlainError(facts) ? 'rolled-back' : 'unknown'
}

function outcomeOfComplete(facts: StatementFacts): Exclude<StatementOutcome, 'never-ran'> {
  const { code, manner, protocol } = facts
  if (manner === 'several') return 'unknown'
  if (protocol === 'simple' || manner === 'as COMMIT') return 'committed'
  if (manner === 'on its way') return 'unknown'
  return isPlainError(facts) && code !== CANCELLED ? 'rolled-back' : 'unknown'
}

/** Whether the server has ended the session, or the statement, where it looks for interrupts. */
function isInterrupt({ code = '', routine = '' }: Pick<StatementFacts, 'code' | 'routine'>): boolean {
  return INTERRUPTS.test(routine) && (ENDS.has(code) || code === CANCELLED)
}

/** Whether the server reports an error that leaves the session alive. */
function isPlainError({ severity, routine }: StatementFacts): boolean {
  return severity === 'ERROR' && routine !== undefined
}

/** What a message of the server says of the statement that it executes. An error of another kind says nothing. */
export function messageFacts(message: unknown): Pick<StatementFacts, 'code' | 'routine' | 'severity'> {
  const severity = severityOf(message)
  if (typeof severity !== 'string') return { code: undefined, routine: undefined, severity: undefined }
  const routine = propertyOf(message, 'routine')
  return { code: codeOf(message), routine: typeof routine === 'string' ? routine : undefined, severity }
}

/** The statement that the server executes, as far as it is known. */
export interface Executing extends Pick<StatementFacts, 'isComplete' | 'protocol'> {
  /** Whether it is the pool's own, sent before those of the callers. */
  readonly isQuestion: boolean
}

/** The statements under way when a connection was lost. */
export interface UnderWay {
  /** Those that may have reached the server, in their order; `undefined` for a text that only the driver knows. */
  readonly sent: readonly (string | undefined)[]
  /** Whether the first one was answered with an error, so that the server executes none. */
  readonly hasFailed: boolean
  /** Undefined if that isn't known: it may be a cursor. */
  readonly executing: Executing | undefined
}

/** A session that was found dead is ended by the pool, in the words in which the server would say so. */
const INTERRUPTED = { code: '57P01', routine: 'ProcessInterrupts', severity: 'FATAL' }

/** What became of each statement that was under way outside of a transaction, or may have ended one. */
export function outcomesOf(cause: unknown, { sent, hasFailed, executing }: UnderWay): StatementOutcome[] {
  const proof = proofOfDeath(cause)
  if (proof === 'never-ran') return sent.map(() => proof)
  const said = proof === 'interrupted' ? INTERRUPTED : messageFacts(cause)
  // Where the session says that it ends, the server has begun nothing of what is behind the statement that it executed. What
  // others have found out concerns that statement only.
  const behind = !proof && isInterrupt(said) ? 'never-ran' : 'unknown'
  return sent.map((text, index) => {
    const hasValues = index === 0 && executing?.isQuestion === false && executing.protocol === 'extended'
    const manner = mannerOf(text, hasValues)
    if (manner === 'never') return 'rolled-back'
    // Of a text that has several transactions, one is known.
    if (index === 0 && proof === 'committed') return mannerOf(text, false) === 'at its end' ? proof : 'unknown'
    if (index === 0 && hasFailed) return manner === 'at its end' ? 'rolled-back' : 'unknown'
    if (index === 0 && executing?.isQuestion === false) return outcomeOf({ ...said, ...executing, manner })
    return index === 0 && !executing ? 'unknown' : behind
  })
}

const LEAST_CERTAIN_FIRST: readonly StatementOutcome[] = ['unknown', 'committed', 'rolled-back', 'never-ran']

/** What is known of several statements together: that of the least certain. */
export function leastCertain(outcomes: readonly StatementOutcome[]): StatementOutcome {
  return LEAST_CERTAIN_FIRST.find((each) => outcomes.includes(each)) ?? 'never-ran'
}

/**
 * Whether a parallel worker of the statement was told to terminate. The code is that of a session's end, but the session
 * lives: the leader reports it as an ERROR, so the statement is rolled back.
 */
export function isWorkersEnd(message: unknown): boolean {
  const { code, routine, severity } = messageFacts(message)
  return severity === 'ERROR' && code === '57P01' && routine === 'ProcessInterrupts'
}
