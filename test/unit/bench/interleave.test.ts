import { expect, test } from 'vitest'
import type { Contest } from '../../../bench/src/contest.ts'
import type { ContestantName } from '../../../bench/src/contestants.ts'
import { interleave, shuffled } from '../../../bench/src/run/interleave.ts'

const NAMES = ['holdfast', 'pg-pool', 'tarn'] as const satisfies readonly ContestantName[]

/** A contest with numbered measurements, which records when each contestant was measured, and which have left. */
function recorded(onMeasure: (name: ContestantName) => void = () => {}) {
  const measured: ContestantName[] = []
  const entered: ContestantName[] = []
  const left: ContestantName[] = []
  const contest: Contest = {
    name: 'recorded',
    metrics: [{ name: 'number', unit: 'ns', better: 'less' }],
    contestants: NAMES.map((name) => ({
      name,
      async enter() {
        entered.push(name)
        return {
          async measure() {
            onMeasure(name)
            return { number: measured.push(name) }
          },
          async [Symbol.asyncDispose]() {
            left.push(name)
          },
        }
      },
    })),
    goals: [],
  }
  return { contest, measured, entered, left }
}

/** Numbers in [0, 1) that never end, and are not all alike. */
function cycling(): () => number {
  let turn = 0
  return () => (turn++ * 0.37) % 1
}

const options = () => ({ rounds: 4, heats: 1, warmUps: 1, random: cycling(), signal: new AbortController().signal })

test('measures every contestant once per round, in orders that differ', async () => {
  const { contest, measured } = recorded()
  await interleave(contest, options())
  const rounds = Array.from({ length: 5 }, (_, round) => measured.slice(round * 3, round * 3 + 3))
  expect(measured).toHaveLength(15)
  for (const round of rounds) expect(round.toSorted()).toEqual(NAMES.toSorted())
  expect(new Set(rounds.map((round) => round.join())).size).toBeGreaterThan(1)
})

test('keeps what was measured round by round, without the warm-up', async () => {
  const { contest, measured } = recorded()
  const samples = await interleave(contest, options())
  for (const name of NAMES) {
    const turns = measured.flatMap((who, index) => (who === name ? [index + 1] : []))
    expect(samples.get(name)).toEqual(turns.slice(1).map((number) => ({ number })))
  }
})

test('lets every contestant leave and enter again for each heat, in orders that differ', async () => {
  const { contest, measured, entered, left } = recorded()
  const rounds: number[] = []
  const samples = await interleave(contest, {
    ...options(),
    rounds: 7,
    heats: 3,
    onRound: (round) => rounds.push(round),
  })
  expect(measured).toHaveLength((7 + 3) * 3)
  expect(rounds).toEqual([1, 2, 3, 4, 5, 6, 7])
  for (const name of NAMES) expect(samples.get(name)).toHaveLength(7)
  const heats = [0, 1, 2].map((heat) => entered.slice(heat * 3, heat * 3 + 3))
  for (const heat of heats) expect(heat.toSorted()).toEqual(NAMES.toSorted())
  expect(new Set(heats.map((heat) => heat.join())).size).toBeGreaterThan(1)
  expect(left).toHaveLength(9)
})

test('has no more heats than rounds', async () => {
  const { contest, entered } = recorded()
  await interleave(contest, { ...options(), rounds: 2, heats: 5 })
  expect(entered).toHaveLength(6)
})

test('lets every contestant leave when it is aborted, and measures none any more', async () => {
  const interrupt = new AbortController()
  const { contest, measured, left } = recorded(() => interrupt.abort(new Error('Ctrl-C')))
  const run = interleave(contest, { ...options(), signal: interrupt.signal })
  await expect(run).rejects.toThrow('Ctrl-C')
  expect(measured).toHaveLength(1)
  expect(left.toSorted()).toEqual(NAMES.toSorted())
})

test('lets every contestant leave when a measurement fails', async () => {
  const { contest, left } = recorded((name) => {
    if (name === 'tarn') throw new Error('No answer')
  })
  await expect(interleave(contest, options())).rejects.toThrow('No answer')
  expect(left.toSorted()).toEqual(NAMES.toSorted())
})

test('shuffles without losing or doubling anything', () => {
  const things = Array.from({ length: 20 }, (_, index) => index)
  const order = shuffled(things, cycling())
  expect(order).not.toEqual(things)
  expect(order.toSorted((one, other) => one - other)).toEqual(things)
})
