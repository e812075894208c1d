import { OptionsError } from '../errors.ts'
import { Problems, readOptions } from './check.ts'
import { checkGroupKeys } from './check-keys.ts'

/** What `dispose()` may be told. */
export interface DisposeOptions {
  /**
   * `false` lets the sockets be, without a word to the server: for a process that shares them with another one, whose
   * sessions a goodbye would end.
   *
   * @default true
   */
  readonly close?: boolean | undefined
}

/**
 * Whether to close.
 *
 * @throws {OptionsError} that names every problem at once.
 */
export function resolveDispose(given: DisposeOptions): boolean {
  return readOptions('dispose', () => resolve(given))
}

function resolve(given: DisposeOptions): boolean {
  const problems = new Problems()
  if (typeof given !== 'object' || given === null)
    problems.add('dispose options', 'an object, such as { close: false }', given)
  else {
    checkGroupKeys('dispose', given, ['close'], problems)
    problems.oneOf('dispose.close', given.close ?? true, [true, false])
  }
  if (problems.found.length > 0) throw new OptionsError(problems.found)
  return given.close ?? true
}
