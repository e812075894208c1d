import { expect, test } from 'vitest'
import { type Work, workOf } from '../../../bench/src/mixed/work.ts'

const TURNS = 10_000

test('of a mixed load one turn in a hundred is slow, ten are transactions, twenty write, and the others read', () => {
  const counts: Record<Work, number> = { slow: 0, transaction: 0, write: 0, read: 0 }
  for (let turn = 1; turn <= TURNS; turn++) counts[workOf(turn)]++
  expect(counts).toEqual({
    slow: expect.closeTo(TURNS * 0.01, -1),
    transaction: expect.closeTo(TURNS * 0.1, -1),
    write: expect.closeTo(TURNS * 0.2, -1),
    read: expect.closeTo(TURNS * 0.69, -1),
  })
})

test('the slow turns of a mixed load are spread over it', () => {
  const slow = Array.from({ length: TURNS }, (_, turn) => turn).filter((turn) => workOf(turn) === 'slow')
  const distances = slow.slice(1).map((turn, index) => turn - (slow[index] as number))
  expect(Math.min(...distances)).toBeGreaterThan(20)
  expect(Math.max(...distances)).toBeLessThan(200)
})
