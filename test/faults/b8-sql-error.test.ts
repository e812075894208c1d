import { describe, expect } from 'vitest'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, countEvents, holdfast, StockPool, WAYS } from './support/pools.ts'
import { rejection } from './support/settling.ts'

const DUPLICATE = "insert into entry values ('once')"
const TIMES = 5

describe('a unique violation', () => {
  test('stock pg.Pool: a unique violation in pool.query costs the connection', async ({ cluster, direct }) => {
    await cluster.query(`${DUPLICATE} on conflict do nothing`)
    await using pool = new StockPool({ ...direct, max: 1 })
    const opened = countEvents(pool, 'connect')
    for (let time = 1; time <= TIMES; time++)
      expect(await rejection(pool.query(DUPLICATE))).toMatchObject({ code: '23505' })
    expect(opened()).toBe(TIMES)
  })

  test.for(WAYS)(
    'Holdfast: the connection stays after a unique violation, through $way',
    async ({ run }, { cluster, direct }) => {
      await cluster.query(`${DUPLICATE} on conflict do nothing`)
      await using pool = holdfast({ ...direct, max: 1 })
      const opened = countEvents(pool, 'connect')
      const pid = await backendPid(pool)
      for (let time = 1; time <= TIMES; time++) {
        const error = await rejection(run(pool, DUPLICATE))
        expect(error).toMatchObject({ name: 'error', code: '23505', constraint: 'entry_pkey' })
        expect(await backendPid(pool)).toBe(pid)
      }
      expect(opened()).toBe(1)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )
})
