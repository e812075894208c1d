import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { backendPid, holdfast, warmUp } from '../faults/support/pools.ts'
import { until } from '../support/index.ts'

const SIZE = 3
const OPTIONS = { max: SIZE, prePing: { idleMillis: 600_000 } }

describe('lifo', () => {
  test('the freshest connection is leased by default', async ({ direct }) => {
    await using pool = holdfast({ ...direct, ...OPTIONS })
    const pids = await warmUp(pool, SIZE)
    for (let lease = 1; lease <= 6; lease++) expect(await backendPid(pool)).toBe(pids.at(-1))
  })

  test('lifo: false leases the one that was idle longest, so that all are used', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, ...OPTIONS, lifo: false })
    const pids = await warmUp(pool, SIZE)
    const used: number[] = []
    for (let lease = 1; lease <= 2 * SIZE; lease++) used.push(await backendPid(pool))
    expect(used).toEqual([...pids, ...pids])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('lifo lets connections age that are not needed, and be closed; without it, all are used', async ({ direct }) => {
    await using fresh = holdfast({ ...direct, ...OPTIONS, idleTimeoutMillis: 500 })
    await using even = holdfast({ ...direct, ...OPTIONS, idleTimeoutMillis: 500, lifo: false })
    await Promise.all([warmUp(fresh, SIZE), warmUp(even, SIZE)])
    await until(async () => {
      await Promise.all([fresh.query('select 1'), even.query('select 1')])
      return fresh.totalCount === 1
    })
    expect(even.totalCount).toBe(SIZE)
  })
})
