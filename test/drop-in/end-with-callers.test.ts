import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast, StockPool } from '../faults/support/pools.ts'
import { isPending, settles, unattended } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'

describe.each(LIBRARIES)('$library: pool.end', ({ open }) => {
  test('pool.end lets a statement finish whose client is still being opened', async ({ direct }) => {
    const pool = open(direct)
    const statement = pool.query('select 1 as one')
    const ended = pool.end()
    expect((await settles(statement, 'the statement')).rows).toEqual([{ one: 1 }])
    await settles(ended, 'end()')
  })
})

describe('the pool is ended in the tick in which a statement was given to its idle client', () => {
  test('stock pg.Pool: a statement sent in the tick of pool.end is never answered', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    await pool.query('select 1')
    const statement = unattended(pool.query('select 2 as two'))
    await settles(pool.end(), 'end()')
    expect(await isPending(statement)).toBe(true)
  })

  test.for([{ idleMillis: 0 }, { idleMillis: 60_000 }])(
    'Holdfast: it is answered, as the documentation of pg shows, with a ping at $idleMillis ms or not',
    async ({ idleMillis }, { direct }) => {
      const pool = holdfast({ ...direct, max: 1, prePing: { idleMillis } })
      await pool.query('select 1')
      const statement = pool.query('select 2 as two')
      const ended = pool.end()
      expect((await settles(statement, 'the statement')).rows).toEqual([{ two: 2 }])
      await settles(ended, 'end()')
    },
  )
})
