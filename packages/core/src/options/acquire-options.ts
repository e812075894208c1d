import { OptionsError } from '../errors.ts'
import { propertyOf } from '../thrown.ts'
import { Problems, readOptions } from './check.ts'
import { checkGroupKeys } from './check-keys.ts'
import { checkResetPolicy } from './check-values.ts'
import type { ResetPolicy } from './pool-options.ts'

/** What one caller wishes of his connection, where it differs from the pool's options. */
export interface AcquireOptions {
  /**
   * Gives up: whoever still waits leaves the line at once, and is told the signal's reason. Within a `withPoolOptions` or a
   * `transaction`, or given to `query`, it also has the server cancel the statement that is running: not a cursor's or a
   * stream's, which their holder closes, and not in pipeline mode, where the server may be at work on another.
   */
  readonly signal?: AbortSignal | undefined
  /** This caller's own deadline, in milliseconds. 0 waits for ever. @default the pool's */
  readonly connectionTimeoutMillis?: number | undefined
  /** What the session is reset by when this lease ends. @default the pool's */
  readonly resetOnReturn?: ResetPolicy | undefined
}

// Complete by its type: whatever becomes an option has to be entered here.
const KEYS: Record<keyof AcquireOptions, true> = { signal: true, connectionTimeoutMillis: true, resetOnReturn: true }

/** Their names. */
export const ACQUIRE_KEYS: readonly string[] = Object.keys(KEYS)

/**
 * Checks what a caller wishes; `of` is what he called.
 *
 * @throws {OptionsError} that names every option that can't work.
 */
export function checkAcquireOptions(of: string, given: AcquireOptions): void {
  const problems = new Problems()
  problems.group(of, given, '{ signal }')
  readOptions(of, () => {
    checkGroupKeys(of, given, ACQUIRE_KEYS, problems)
    addAcquireProblems(of, given, problems)
  })
  if (problems.found.length > 0) throw new OptionsError(problems.found)
}

/** Notes what can't work among a caller's wishes. */
export function addAcquireProblems(of: string, given: AcquireOptions, problems: Problems): void {
  const { signal, connectionTimeoutMillis, resetOnReturn } = given
  if (signal !== undefined && !isSignal(signal)) problems.add(`${of}.signal`, 'an AbortSignal', signal)
  if (connectionTimeoutMillis !== undefined)
    problems.number(`${of}.connectionTimeoutMillis`, connectionTimeoutMillis, 0)
  if (resetOnReturn !== undefined) checkResetPolicy(`${of}.resetOnReturn`, resetOnReturn, problems)
}

/** Whether a signal can be listened to, from whichever realm. */
export function isSignal(signal: unknown): signal is AbortSignal {
  const has = (method: string): boolean => typeof propertyOf(signal, method) === 'function'
  return has('addEventListener') && has('throwIfAborted')
}
