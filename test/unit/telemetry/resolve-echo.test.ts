import { describe, expect, test } from 'vitest'
import { Problems } from '../../../packages/core/src/options/check.ts'
import { resolveEcho } from '../../../packages/core/src/options/read-values.ts'

function resolved(given: unknown, environment?: string) {
  const problems = new Problems()
  return { level: resolveEcho(given as boolean, environment, problems), problems: problems.found }
}

describe('the option', () => {
  test.each([
    [true, 'info'],
    [false, false],
    ['debug', 'debug'],
  ])('the option `echo` as %o means %o, whatever HOLDFAST_ECHO says', (given, level) => {
    for (const environment of [undefined, 'debug', '0', 'nonsense'])
      expect(resolved(given, environment)).toEqual({ level, problems: [] })
  })

  test.each(['info', 1, null, 'DEBUG'])('the option `echo` is refused as %o', (given) => {
    expect(resolved(given).problems).toEqual([
      expect.stringMatching(/^`echo` must be one of true, false, 'debug', got /),
    ])
  })
})

describe('HOLDFAST_ECHO', () => {
  test.each([
    [undefined, false],
    ['', false],
    ['0', false],
    ['false', false],
    ['1', 'info'],
    ['true', 'info'],
    ['info', 'info'],
    ['debug', 'debug'],
    [' DEBUG ', 'debug'],
  ])('HOLDFAST_ECHO as %o means %o where the option is absent', (environment, level) => {
    expect(resolved(undefined, environment)).toEqual({ level, problems: [] })
  })

  test.each(['yes', '2', 'warn'])('HOLDFAST_ECHO is refused by its name as %o', (environment) => {
    expect(resolved(undefined, environment)).toEqual({
      level: false,
      problems: [`\`HOLDFAST_ECHO\` must be 1, true, info, debug, 0 or false, got '${environment}'.`],
    })
  })
})
