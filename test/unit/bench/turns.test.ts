import { expect, test } from 'vitest'
import { slice, Turns } from '../../../bench/src/run/turns.ts'

test('a slice tells how long a share of its turns took at most', () => {
  const turns = new Turns(Number.POSITIVE_INFINITY)
  for (let millis = 1; millis <= 1000; millis++) turns.took(millis)
  expect([0.5, 0.99, 0.999].map((share) => turns.millisOf(share))).toEqual([
    expect.closeTo(500, -1),
    expect.closeTo(990, -1),
    expect.closeTo(999, -1),
  ])
})

test('a slice in which no duration was recorded has none', async () => {
  const { millisOf } = await slice(async (turns) => void turns.next(), 2, 0)
  expect(millisOf(0.5)).toBeNaN()
})
