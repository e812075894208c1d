import type { Problems } from './check.ts'
import type { EchoLevel } from './resolved-options.ts'

const LEVELS_IN_ENVIRONMENT: ReadonlyMap<string, EchoLevel> = new Map<string, EchoLevel>([
  ['1', 'info'],
  ['true', 'info'],
  ['info', 'info'],
  ['debug', 'debug'],
  ['0', false],
  ['false', false],
  ['', false],
])

/**
 * Decides what is echoed. The option wins over `HOLDFAST_ECHO`, which is for looking into a program without changing
 * it.
 */
export function resolveEcho(
  given: boolean | 'debug' | undefined,
  environment: string | undefined,
  problems: Problems,
): EchoLevel {
  if (given !== undefined) {
    problems.oneOf('echo', given, [true, false, 'debug'])
    return given === true ? 'info' : given
  }
  const level = LEVELS_IN_ENVIRONMENT.get(environment?.trim().toLowerCase() ?? '')
  if (level === undefined) problems.add('HOLDFAST_ECHO', '1, true, info, debug, 0 or false', environment)
  return level ?? false
}
