import { tmpdir } from 'node:os'
import { UsageError } from '@holdfast/test/support'
import { describe, expect, test } from 'vitest'
import type { Benchmark } from '../../../bench/src/contest.ts'
import type { ContestantName } from '../../../bench/src/contestants.ts'
import { helpText, parseOptions as parse } from '../../../bench/src/options.ts'
import { QUICK, SCALING, USUAL } from '../../../bench/src/run/pace.ts'

const BENCHMARKS = [
  benchmark('acquire', ['holdfast', 'pg-pool', 'tarn']),
  benchmark('query', ['holdfast', 'pg-pool']),
  benchmark('spike', ['holdfast', 'pg-pool']),
]

const parseOptions = (args: readonly string[]) => parse(args, BENCHMARKS)

function benchmark(name: string, contestants: readonly ContestantName[]): Benchmark {
  return { name, about: `about ${name}`, contestants, stage: () => Promise.reject(new Error('Nothing is run here')) }
}

test('runs every benchmark at the usual pace, and fails for no goal, when nothing is asked for', () => {
  expect(parseOptions([])).toEqual({
    wants: 'bench',
    benchmarks: BENCHMARKS,
    contestant: undefined,
    pace: USUAL,
    check: false,
    json: undefined,
    scale: undefined,
  })
})

test('takes names from lists and from several options, and runs them in their own order', () => {
  const { benchmarks } = parseOptions(['--only', 'spike, query', '--only', 'acquire'])
  expect(benchmarks.map(({ name }) => name)).toEqual(['acquire', 'query', 'spike'])
})

test('lets the number of rounds win over the quick pace', () => {
  expect(parseOptions(['--quick', '--rounds', '7']).pace).toEqual({ ...QUICK, rounds: 7 })
})

test('writes to standard output when --json stands alone, also before another option', () => {
  expect(parseOptions(['--json']).json).toBe('-')
  expect(parseOptions(['--json', '--quick'])).toMatchObject({ json: '-', pace: QUICK })
  expect(parseOptions(['--json', 'numbers.json']).json).toBe('numbers.json')
})

test('measures a curve at a pace of its own, unless it is asked for a quick one', () => {
  expect(parseOptions(['--scale', tmpdir()])).toMatchObject({ scale: tmpdir(), pace: SCALING })
  expect(parseOptions(['--scale', tmpdir(), '--quick']).pace).toEqual(QUICK)
})

test('takes a contestant that takes part in any of the benchmarks', () => {
  expect(parseOptions(['--contestant', 'tarn']).contestant).toBe('tarn')
})

test('says in its help what every benchmark is about', () => {
  for (const { name, about } of BENCHMARKS)
    expect(helpText(BENCHMARKS)).toMatch(new RegExp(`^ +${name} +${about}$`, 'm'))
})

describe('a command line that makes no sense is refused', () => {
  test.each([
    [['--only', 'nothing'], '--only nothing: no benchmark has this name. There are acquire, query, spike.'],
    [['--rounds', '0'], '--rounds must be a whole number from 1 to 10000, got "0".'],
    [['--rounds', '1.5'], '--rounds must be'],
    [['--rounds', ''], '--rounds must be'],
    [['--contestant', 'nobody'], '--contestant nobody: no contestant has this name. There are holdfast, pg-pool,'],
    [['--only', 'query', '--contestant', 'tarn'], '--contestant tarn: takes no part in query.'],
    [['--json', tmpdir()], 'that is no file.'],
    [['--json', 'no-such-folder/numbers.json'], 'there is no folder no-such-folder.'],
    [['--scale', 'no-such-folder'], 'there is no such folder.'],
    [['--scale', tmpdir(), '--only', 'query'], '--only and --contestant have no place there.'],
    [['--unknown'], "Unknown option '--unknown'"],
    [['acquire'], "Unexpected argument 'acquire'"],
  ])('refuses the command line %j, and says why', (args, message) => {
    expect(() => parseOptions(args)).toThrow(UsageError)
    expect(() => parseOptions(args)).toThrow(message)
  })
})
