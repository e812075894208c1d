import { describe, expect, test } from 'vitest'
import { type Comparison, PlanGuard } from '../../../packages/core/src/policy/plan-guard.ts'

/** Runs a statement so often, and returns what the guard has found. */
function run(guard: PlanGuard, count: number, millis: (isNamed: boolean, time: number) => number): Comparison[] {
  const found: Comparison[] = []
  for (let time = 0; time < count; time++) {
    const isNamed = !guard.wantsUnnamed
    const comparison = guard.took(millis(isNamed, time), isNamed)
    if (comparison) found.push(comparison)
  }
  return found
}

function guardAfter(millis: number): PlanGuard {
  const guard = new PlanGuard()
  for (let time = 0; time < 5; time++) guard.took(millis, false)
  return guard
}

describe('a statement under its name', () => {
  test('that takes three times as long, and 5 ms more, is found slower within 140 runs', () => {
    expect(run(guardAfter(2), 140, (isNamed) => (isNamed ? 8 : 2))).toEqual([{ namedMillis: 8, unnamedMillis: 2 }])
  })

  test.for([
    ['is as fast', 2, 2],
    ['takes five times as long, but only 4 ms more', 1, 5],
    ['takes 50 ms more, but not three times as long', 30, 80],
    ['is faster', 30, 3],
  ] as const)('that %s is never compared', ([, unnamed, named]) => {
    const guard = guardAfter(unnamed)
    expect(run(guard, 1000, (isNamed) => (isNamed ? named : unnamed))).toEqual([])
    expect(guard.wantsUnnamed).toBe(false)
  })

  test('that became slower with its data, or with the load, is compared and found innocent', () => {
    const guard = guardAfter(1)
    let unnamed = 0
    const found = run(guard, 200, (isNamed) => {
      if (!isNamed) unnamed++
      return 50
    })
    expect([found, unnamed]).toEqual([[], 20])
  })

  test('that is slower for a while, is compared more and more seldom', () => {
    const guard = guardAfter(1)
    let unnamed = 0
    let load = 1
    run(guard, 100_000, (isNamed, time) => {
      if (!isNamed) unnamed++
      if (time % 500 === 0) load = load === 1 ? 100 : 1
      return load
    })
    expect(unnamed).toBeLessThan(2000)
  })

  test('that waits for a lock now and then is not found slower by that', () => {
    let seed = 1
    const chance = (): number => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed / 2_147_483_647
    }
    const guards = Array.from({ length: 200 }, () => guardAfter(1))
    const found = guards.filter((guard) => run(guard, 1000, () => (chance() < 0.05 ? 2000 : 1)).length > 0)
    expect(found.length).toBeLessThan(5)
  })
})
