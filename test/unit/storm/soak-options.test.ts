import { tmpdir } from 'node:os'
import { UsageError } from '@holdfast/test/support'
import { describe, expect, test } from 'vitest'
import { parseSoakOptions } from '../../../storm/src/soak/options.ts'

test('soaks for five minutes, with a seed of its own, when nothing is asked for', () => {
  const options = parseSoakOptions([])
  expect(options).toEqual({ wants: 'soak', minutes: 5, seed: expect.any(Number), json: undefined })
  expect(options.seed).not.toBe(parseSoakOptions([]).seed)
})

test('takes fractions of minutes, and the seed to repeat', () => {
  expect(parseSoakOptions(['--minutes', '0.5', '--seed', '0'])).toMatchObject({ minutes: 0.5, seed: 0 })
})

test('writes to standard output when --json stands alone, also before another option', () => {
  expect(parseSoakOptions(['--json']).json).toBe('-')
  expect(parseSoakOptions(['--json', '--minutes', '1'])).toMatchObject({ json: '-', minutes: 1 })
  expect(parseSoakOptions(['--json', 'soak.json']).json).toBe('soak.json')
})

test('shows the help when asked, whatever else is asked for', () => {
  expect(parseSoakOptions(['--minutes', '1', '--help']).wants).toBe('help')
})

describe('refuses, and says why,', () => {
  test.each([
    [['--minutes', '0'], /--minutes must be a number above 0/],
    [['--minutes=-1'], /--minutes must be a number above 0/],
    [['--minutes', 'five'], /got "five"/],
    [['--minutes', ''], /got ""/],
    [['--minutes', 'Infinity'], /at most 1440/],
    [['--seed', '1.5'], /--seed must be a whole number/],
    [['--seed', ' '], /--seed must be a whole number/],
    [['--json', 'no/such/folder/soak.json'], /there is no folder no\/such\/folder/],
    [['--json', tmpdir()], /that is no file/],
    [['--hours', '1'], /--hours/],
    [['5'], /'5'/],
  ])('refuses the command line %j, and says why', (args, message) => {
    expect(() => parseSoakOptions(args)).toThrow(UsageError)
    expect(() => parseSoakOptions(args)).toThrow(message)
  })
})
