import { expect, test } from 'vitest'
import { scalePointOf } from '../../../bench/src/benchmarks/scale.ts'
import type { ContestantName } from '../../../bench/src/contestants.ts'
import { scalePicture } from '../../../bench/src/report/scale-picture.ts'
import { contestResults, type MetricResult } from '../../../bench/src/results/contest-result.ts'
import { THROUGHPUT } from '../../../bench/src/run/throughput.ts'

/** Each contestant did so much in each round, at this size. */
function measured(contest: string, throughputs: Partial<Record<ContestantName, number>>): MetricResult[] {
  const contestants = Object.keys(throughputs).map((name) => ({ name: name as ContestantName, enter: never }))
  const samples = Object.entries(throughputs).map(
    ([name, value]) => [name as ContestantName, [value, value].map((each) => ({ [THROUGHPUT.name]: each }))] as const,
  )
  return contestResults('callers', { name: contest, metrics: [THROUGHPUT], contestants, goals: [] }, new Map(samples))
}

const never = (): never => {
  throw new Error('nothing is measured here')
}

test('a contest of a scale is named by its network and its size', () => {
  expect(scalePointOf('loopback: 30')).toEqual({ network: 'loopback', size: 30 })
})

test('the picture of a scale shows each contestant as a multiple of pg.Pool, on each network', () => {
  const results = ['loopback', 'far'].flatMap((network) => [
    ...measured(`${network}: 1`, { holdfast: 10, 'pg-pool': 10, 'postgres-js': 10 }),
    ...measured(`${network}: 10`, { holdfast: 40, 'pg-pool': 10, 'postgres-js': 20 }),
  ])
  const svg = scalePicture(results)
  expect(svg).toContain('>loopback</text>')
  expect(svg).toContain('>far</text>')
  // At the second size Holdfast is at the top, pg.Pool at the bottom, postgres.js between them.
  const ends = [...svg.matchAll(/<polyline points="44,(\S+) \S+,(\S+)"/g)].map(([, first, last]) => [first, last])
  expect(ends).toEqual([
    ['278', '66'],
    ['278', '278'],
    ['278', '172'],
  ])
  expect(svg).not.toContain('NaN')
})
