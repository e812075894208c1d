import { OptionsError } from '../errors.ts'
import { Problems, withoutUndefined } from './check.ts'
import { checkGroupKeys } from './check-keys.ts'

/** What `drain()` may be told. */
export interface DrainOptions {
  /** `false` only waits for a quiet moment, and closes nothing when the time is up. @default true */
  readonly close?: boolean | undefined
}

/** A longer delay can't be waited for by a timer. */
const LONGEST_MILLIS = 2 ** 31 - 1

/**
 * Checks what `drain()` was given, and answers whether to close.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveDrain(millis: unknown, given: DrainOptions): boolean {
  const problems = new Problems()
  const isTime = typeof millis === 'number' && millis >= 0 && millis <= LONGEST_MILLIS
  if (!isTime) problems.add('drain(millis)', `a number from 0 to ${LONGEST_MILLIS}`, millis)
  problems.group('drain', given, '{ close: false }')
  const { close = true } = given
  checkGroupKeys('drain', withoutUndefined(given), ['close'], problems)
  problems.oneOf('drain.close', close, [true, false])
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return close
}
