import { expect, test } from 'vitest'
import { FAULTS } from '../../../storm/src/faults/index.ts'
import { faultOrder } from '../../../storm/src/soak/run/fault-order.ts'
import { seeded } from '../../../storm/src/workload/random.ts'

function names(seed: number, count: number): string[] {
  const faults = faultOrder(FAULTS, seeded(seed))
  return Array.from({ length: count }, () => faults.next().value.name)
}

test('every fault strikes once before any of them strikes again', () => {
  const once = FAULTS.map(({ name }) => name).toSorted()
  const two = names(1, 2 * FAULTS.length)
  expect(two.slice(0, FAULTS.length).toSorted()).toEqual(once)
  expect(two.slice(FAULTS.length).toSorted()).toEqual(once)
})

test('the order of the faults follows from the seed', () => {
  expect(names(1, 30)).toEqual(names(1, 30))
  expect(names(1, 30)).not.toEqual(names(2, 30))
})
