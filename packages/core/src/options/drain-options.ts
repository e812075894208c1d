import { OptionsError } from '../errors.ts'
import { Problems } from './check.ts'

/** A longer delay can't be waited for by a timer. */
const LONGEST_MILLIS = 2 ** 31 - 1

/**
 * How long a pool may take to drain, in milliseconds.
 *
 * @throws {OptionsError} when that is no time.
 */
export function resolveDrain(millis: unknown): number {
  const isTime = typeof millis === 'number' && millis >= 0 && millis <= LONGEST_MILLIS
  if (isTime) return millis
  const problems = new Problems()
  problems.add('drain(millis)', `a number from 0 to ${LONGEST_MILLIS}`, millis)
  throw new OptionsError(problems.found)
}
