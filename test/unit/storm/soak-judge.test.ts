import { describe, expect, test } from 'vitest'
import { fin } from '../../../storm/src/faults/cuts.ts'
import type { Sample } from '../../../storm/src/soak/program/messages.ts'
import { judge } from '../../../storm/src/soak/results/judge.ts'
import { trendOf } from '../../../storm/src/soak/results/trend.ts'
import { violationsOf } from '../../../storm/src/soak/results/violations.ts'
import { type CalmPoint, emptySoakRecord, type SoakRecord } from '../../../storm/src/soak/run/record.ts'
import { seeded } from '../../../storm/src/workload/random.ts'

const OPERATIONS = 1000
const CONNECTIONS = 50
const MEGABYTE = 1e6
const NOTHING = { connections: 0, sockets: 0, sessions: 0 }

/** What is left after each of so many faults, of a thousand operations and fifty connections each. */
function calmPoints(count: number, sampleAt: (index: number) => Partial<Sample> = () => ({})): CalmPoint[] {
  return Array.from({ length: count }, (_, index) => calmPoint(sampleAt(index), index))
}

function calmPoint(sample: Partial<Sample>, index = 0): CalmPoint {
  return {
    fault: fin,
    at: index,
    pending: [],
    habits: [],
    usableSlots: 8,
    books: NOTHING,
    sample: {
      objects: 10 * MEGABYTE,
      heapUsed: 10 * MEGABYTE,
      external: MEGABYTE,
      rss: 100 * MEGABYTE,
      resources: { PipeWrap: 2 },
      listeners: 15,
      signalListeners: 0,
      connections: 0,
      operations: OPERATIONS * index,
      opened: CONNECTIONS * index,
      warnings: 0,
      ...sample,
    },
    left: NOTHING,
  }
}

function record(facts: Partial<SoakRecord>): SoakRecord {
  return { ...emptySoakRecord({ seed: 1, minutes: 5 }), ...facts }
}

const growing = (points: readonly CalmPoint[]): string[] =>
  judge(points)
    .filter(({ verdict }) => verdict === 'grows')
    .map(({ measure }) => `${measure.name} per ${measure.per}`)
const verdicts = (points: readonly CalmPoint[]): string[] => [...new Set(judge(points).map(({ verdict }) => verdict))]

/** Noise that looks like a heap's: a hundred kilobytes, to both sides. */
function noise(seed = 1): () => number {
  const random = seeded(seed)
  return () => (random() - 0.5) * 0.2 * MEGABYTE
}

describe('a trend', () => {
  test('a trend is the line of least squares, with its standard error', () => {
    // Worked out by hand: the mean is (2.5, 3.5), the sums of squares 5 and 7, what the line misses 0.2.
    const trend = trendOf([
      [1, 2],
      [2, 3],
      [3, 4],
      [4, 5],
    ])
    expect(trend?.slope).toBeCloseTo(1)
    expect(trend?.error).toBeCloseTo(0)
    const bent = trendOf([
      [1, 1],
      [2, 3],
      [3, 2],
      [4, 4],
    ])
    expect(bent?.slope).toBeCloseTo(0.8)
    expect(bent?.error).toBeCloseTo(Math.sqrt(1.8 / 2 / 5))
  })

  test('a trend is undefined for two points, and for points with the same x', () => {
    expect(
      trendOf([
        [1, 1],
        [2, 2],
      ]),
    ).toBeUndefined()
    expect(
      trendOf([
        [1, 1],
        [1, 2],
        [1, 3],
      ]),
    ).toBeUndefined()
  })
})

describe('the verdict', () => {
  test('the verdict is flat when nothing grows, in spite of the noise', () => {
    const random = noise()
    expect(verdicts(calmPoints(50, () => ({ objects: 10 * MEGABYTE + random() })))).toEqual(['flat'])
  })

  test('the verdict is flat when only the warm-up grew', () => {
    const points = calmPoints(50, (index) => ({ objects: 10 * MEGABYTE + Math.min(index, 15) * MEGABYTE }))
    expect(verdicts(points)).toEqual(['flat'])
  })

  test('the verdict is that the heap grows when each operation leaves one entry of a Map behind', () => {
    const random = noise()
    const points = calmPoints(50, (index) => ({ objects: 10 * MEGABYTE + 64 * OPERATIONS * index + random() }))
    expect(growing(points)).toContain('objects on the heap per operation')
  })

  test('the verdict is that the heap grows when each connection opened leaves a client behind', () => {
    const random = noise()
    const points = calmPoints(50, (index) => ({ objects: 10 * MEGABYTE + 20_000 * CONNECTIONS * index + random() }))
    expect(growing(points)).toContain('objects on the heap per connection opened')
  })

  test('the verdict is that handles grow when every tenth fault leaves one', () => {
    const points = calmPoints(50, (index) => ({ resources: { PipeWrap: 2, Timeout: Math.floor(index / 10) } }))
    expect(growing(points)).toEqual(['handles per fault'])
  })

  test('the verdict is that listeners grow, on the pool or on a signal that lives long', () => {
    expect(growing(calmPoints(50, (index) => ({ listeners: 15 + index })))).toEqual(['listeners per fault'])
    expect(growing(calmPoints(50, (index) => ({ signalListeners: index })))).toEqual([
      'listeners of a long-lived signal per fault',
    ])
  })

  test('there is no verdict while there are too few points, or the noise is greater than what is looked for', () => {
    const random = noise()
    expect(verdicts(calmPoints(10))).toEqual(['unclear'])
    const loud = calmPoints(20, () => ({ objects: 10 * MEGABYTE + 20 * random() }))
    expect(judge(loud)[0]?.verdict).toBe('unclear')
  })
})

describe('what is wrong', () => {
  test('nothing is wrong in a soak that held', () => {
    expect(violationsOf(record({ calmPoints: calmPoints(3) }))).toEqual([])
  })

  test.each([
    [{ usableSlots: 7 }, 'only 7 of 8 slots could be used'],
    [{ habits: ['listens'], pending: [pending()] }, '1 operations never ended (of a caller who listens)'],
    [
      { books: { connections: 6, sockets: 6, sessions: 7 } },
      'the books do not agree: 6 connections of the pools, 6 sockets, 7 sessions at the server',
    ],
    [
      { left: { ...NOTHING, sockets: 1 } },
      'left after dispose(): 0 connections of the pools, 1 sockets, 0 sessions at the server',
    ],
  ])('what is wrong at a calm point, %j, is reported with its fault', (facts, wrong) => {
    const point = { ...calmPoint({}), ...facts }
    expect(violationsOf(record({ calmPoints: [point] }))).toEqual([`after fault 1 (FIN): ${wrong}`])
  })

  test('a timer or a socket that is alive although no operation runs is wrong', () => {
    const point = calmPoint({ resources: { PipeWrap: 2, Timeout: 3, TCPSocketWrap: 1 } })
    expect(violationsOf(record({ calmPoints: [point] }))).toEqual([
      'after fault 1 (FIN): alive after dispose(), although nobody waits: 3 timers, 1 sockets',
    ])
  })

  test('a crash, an error that is a bug, and too many listeners are wrong, but no other warning is', () => {
    expect(
      violationsOf(
        record({
          crash: 'It died.',
          bugs: new Set(['TypeError: nothing']),
          warnings: new Set(['MaxListenersExceededWarning: 11 error listeners', 'ExperimentalWarning: new']),
        }),
      ),
    ).toEqual([
      'the process did not hold: It died.',
      'a bug told itself: TypeError: nothing',
      'MaxListenersExceededWarning: 11 error listeners',
    ])
  })

  test('sockets, money, writes, a process that lives on: whatever the end finds is wrong', () => {
    const end = {
      sample: calmPoint({}).sample,
      left: { sockets: 1, sessions: 2 },
      endedByItself: false,
      audit: { lost: ['a'], doubled: [], uncommitted: [], denied: ['b'], misreported: ['c'], writtenInSpiteOfError: 5 },
      balancesAreRight: false,
    }
    expect(violationsOf(record({ end }))).toEqual([
      '1 sockets open after pool.end()',
      '2 sessions at the server after pool.end()',
      '1 acknowledged writes lost',
      '1 writes there that an error had denied',
      '1 transactions written that were reported as failed',
      '1 sum of balances wrong',
      '1 process that did not end after pool.end()',
    ])
  })
})

function pending() {
  return { id: 1, kind: 'read', phase: 0, key: '', startedAt: 0 } as const
}
