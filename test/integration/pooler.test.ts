import { Pool, type PoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'

const TIMES = 8

const test = base
  .extend('told', () => [] as string[])
  .extend('logger', ({ told }) => {
    const ignore = (): void => {}
    return { debug: ignore, info: ignore, error: ignore, warn: (message?: unknown) => void told.push(String(message)) }
  })

/** How many of the application's statements a session has prepared, after it has sent one often. */
async function preparedBy(pool: Pool): Promise<number> {
  for (let time = 0; time < TIMES; time++) await pool.query('select $1::int', [time])
  const { rows } = await pool.query("select count(*)::int from pg_prepared_statements where name like 'hf_%'")
  return rows[0].count
}

describe('a server without a pooler', () => {
  test.for([{}, { watch: false }, { pooler: 'none' }, { pooler: 'none', watch: false }] satisfies PoolOptions[])(
    'statements are prepared, and the pool says that there is no pooler: %o',
    async (options, { direct, logger, told }) => {
      await using pool = new Pool({ ...direct, max: 1, ...options, logger })
      expect(pool.status().pooler).toBe('pooler' in options ? 'none' : 'unknown')
      expect(await preparedBy(pool)).toBe(1)
      expect(pool.status().pooler).toBe('none')
      expect(pool.inspect()).toMatchObject([{ isDirect: true }])
      expect(told).toEqual([])
    },
  )

  test.for(['session', 'transaction'] as const)(
    'nothing is prepared if the pool is told of a pooler: %s',
    async (pooler, { direct }) => {
      await using pool = new Pool({ ...direct, max: 1, pooler })
      expect(await preparedBy(pool)).toBe(0)
      expect(pool.status().pooler).toBe(pooler)
      expect(pool.inspect()).toMatchObject([{ isDirect: false }])
      await using naming = new Pool({ ...direct, max: 1, pooler, prepare: true })
      expect(await preparedBy(naming)).toBe(1)
    },
  )
})

test('what needs a session of its own is warned of once, in transaction mode', async ({ direct, logger, told }) => {
  const options = { ...direct, max: 2, logger, resetOnReturn: 'session' } as const
  for (const pooler of ['auto', 'none', 'session'] as const) {
    await using pool = new Pool({ ...options, pooler })
    await pool.query('listen news')
    await pool.query('select pg_advisory_lock(1)')
  }
  expect(told).toEqual([])
  await using pool = new Pool({ ...options, pooler: 'transaction' })
  expect(told).toEqual([expect.stringMatching(/HOLDFAST_SESSION_NEEDED: .*resetOnReturn/)])
  for (const sql of ['listen news', 'select pg_advisory_lock(1)'])
    for (let time = 0; time < 2; time++) await pool.query(sql)
  expect(told.slice(1)).toEqual([expect.stringMatching(/ LISTEN hears/), expect.stringMatching(/ advisory lock /)])
})
