import { describe, expect, test } from 'vitest'
import { type BudgetFacts, type BudgetSharer, shareOf } from '../../../packages/core/src/policy/budget-share.ts'

const ALONE: BudgetFacts = {
  free: 9,
  reserve: 1,
  connections: 0,
  closing: 0,
  unused: 0,
  wanted: 0,
  others: [],
  hungrySince: undefined,
  extraMillis: 0,
  behindMillis: 0,
}

function hungry(connections: number, hungrySince = 50): BudgetSharer {
  return { connections, hungrySince }
}

function content(connections: number): BudgetSharer {
  return { connections, hungrySince: undefined }
}

const NEVER = Number.POSITIVE_INFINITY

describe('a pool that shares a budget', () => {
  test('alone takes what it wants, and leaves the reserve', () => {
    expect(shareOf({ ...ALONE, wanted: 3 })).toMatchObject({ take: 3, keep: NEVER })
    expect(shareOf({ ...ALONE, wanted: 20 })).toMatchObject({ take: 8, keep: NEVER })
    expect(shareOf({ ...ALONE, free: 1, wanted: 20 })).toMatchObject({ take: 0, keep: NEVER })
  })

  test('keeps all that it has while the others want nothing, used or not', () => {
    expect(shareOf({ ...ALONE, free: 1, connections: 8, unused: 8, others: [content(1)] }).keep).toBe(NEVER)
  })

  test('gives what it does not use to one that wants it', () => {
    expect(shareOf({ ...ALONE, free: 1, connections: 8, unused: 6, others: [hungry(4)] }).keep).toBe(2)
  })

  test('keeps what it does not use while there are free ones for those that want them', () => {
    expect(shareOf({ ...ALONE, free: 2, connections: 8, unused: 6, others: [hungry(4)] }).keep).toBe(NEVER)
  })

  test('gives no more than makes the parts equal, if it uses all it has', () => {
    expect(shareOf({ ...ALONE, free: 1, connections: 8, wanted: 9, others: [hungry(0)] }).keep).toBe(4)
    expect(shareOf({ ...ALONE, free: 1, connections: 8, others: [hungry(4), hungry(0)] }).keep).toBe(4)
  })

  test('keeps its equal part when others have more than theirs', () => {
    expect(shareOf({ ...ALONE, free: 1, connections: 6, wanted: 1, others: [content(10), hungry(0)] }).keep).toBe(6)
  })

  test('takes no more than its equal part while others want connections, too', () => {
    expect(shareOf({ ...ALONE, free: 9, wanted: 20, others: [hungry(0)] }).take).toBe(4)
    expect(shareOf({ ...ALONE, free: 9, wanted: 20, others: [hungry(0), content(3)] }).take).toBe(4)
  })

  test('gives back what is missing in the reserve', () => {
    expect(shareOf({ ...ALONE, free: 0, connections: 8, unused: 3 }).keep).toBe(5)
    expect(shareOf({ ...ALONE, free: 0, connections: 8 }).keep).toBe(7)
  })

  test('counts what it is closing as free soon', () => {
    expect(shareOf({ ...ALONE, free: 1, connections: 6, closing: 2, wanted: 9, others: [hungry(0)] }).keep).toBe(4)
  })

  test('may have one more, where the budget can not be divided, as long as it is its turn', () => {
    const facts = { ...ALONE, free: 1, connections: 4, wanted: 9, others: [hungry(3)] }
    expect(shareOf(facts)).toMatchObject({ take: 0, keep: 4, hasExtra: true })
    expect(shareOf({ ...facts, extraMillis: 1000 }).keep).toBe(3)
    expect(shareOf({ ...facts, others: [hungry(4), hungry(2)] }).keep).toBe(3)
  })

  test('gives that back when its turn is over, after those whose callers have waited longer', () => {
    const facts = { ...ALONE, free: 1, connections: 4, wanted: 9, hungrySince: 40, extraMillis: 1000 }
    expect(shareOf({ ...facts, others: [hungry(4, 50), hungry(3)] })).toMatchObject({ keep: 3, isTurnOver: true })
    expect(shareOf({ ...facts, others: [hungry(4, 30), hungry(3)] })).toMatchObject({ keep: 4, isTurnOver: false })
    expect(shareOf({ ...facts, others: [hungry(4, 30), hungry(3)], extraMillis: 2000 }).keep).toBe(3)
    expect(shareOf({ ...facts, others: [hungry(4, 30)] })).toMatchObject({ keep: 4, isTurnOver: false })
    // Another one has given just now.
    const oneIsFree = { ...facts, free: 2, others: [hungry(3), hungry(3)] }
    expect(shareOf(oneIsFree)).toMatchObject({ hasExtra: true, isTurnOver: false })
  })

  test('takes one more only when no other pool comes first, because it has less, or has waited longer', () => {
    const facts = { ...ALONE, free: 2, connections: 3, wanted: 9, hungrySince: 40 }
    expect(shareOf({ ...facts, others: [hungry(3, 50)] })).toMatchObject({ take: 1, isBehind: false })
    expect(shareOf({ ...facts, others: [hungry(3, 30)] })).toMatchObject({ take: 0, isBehind: true })
    expect(shareOf({ ...facts, others: [hungry(3, 30)], behindMillis: 1000 }).take).toBe(1)
    expect(shareOf({ ...facts, connections: 4, others: [hungry(3)] }).take).toBe(0)
    expect(shareOf({ ...facts, others: [hungry(3, 50), hungry(2, 60)] }).take).toBe(0)
  })
})

interface SimulatedPool {
  connections: number
  demand: number
}

/** Lets each pool take and give in turn, as often as that changes something; returns how many rounds it took. */
function settle(pools: SimulatedPool[], capacity: number): number {
  const free = (): number => capacity - pools.reduce((sum, { connections }) => sum + connections, 0)
  for (let round = 1; round <= 100; round++) {
    let hasChanged = false
    for (const pool of pools) {
      const others = pools
        .filter((other) => other !== pool)
        .map(({ connections, demand }) => ({ connections, hungrySince: demand > connections ? 1 : undefined }))
      const { take, keep } = shareOf({
        ...ALONE,
        reserve: 0,
        free: free(),
        connections: pool.connections,
        hungrySince: 1,
        unused: Math.max(0, pool.connections - pool.demand),
        wanted: Math.max(0, pool.demand - pool.connections),
        others,
      })
      const connections = Math.min(pool.connections, keep) + take
      hasChanged ||= connections !== pool.connections
      pool.connections = connections
      expect(free()).toBeGreaterThanOrEqual(0)
    }
    if (!hasChanged) return round
  }
  throw new Error(`Not settled: ${JSON.stringify(pools)}`)
}

test('pools with any demands come to equal parts, use all there is, and stay there', () => {
  let seed = 7
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * below)
  }
  for (let run = 0; run < 500; run++) {
    const capacity = 1 + random(30)
    const pools = Array.from({ length: 1 + random(6) }, () => ({ connections: 0, demand: random(15) }))
    settle(pools, capacity)
    for (const pool of pools) pool.demand = random(15)
    settle(pools, capacity)
    const demanded = pools.reduce((sum, { demand }) => sum + demand, 0)
    const used = pools.reduce((sum, { connections, demand }) => sum + Math.min(connections, demand), 0)
    expect(used).toBe(Math.min(capacity, demanded))
    const least = Math.min(
      ...pools.filter(({ connections, demand }) => connections < demand).map((pool) => pool.connections),
    )
    for (const { connections, demand } of pools) expect(Math.min(connections, demand)).toBeLessThanOrEqual(least + 1)
  }
})
