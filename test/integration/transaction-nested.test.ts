import { NestedTransactionError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { deferred } from '../support/deferred.ts'

describe('a transaction in the function of another, without its tx', () => {
  test('on the only connection: told at once, with both stacks', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, connectionTimeoutMillis: 60_000 })
    async function payOut(): Promise<unknown> {
      return await pool.transaction((tx) => tx.query('select 1'))
    }
    async function closeAccount(): Promise<unknown> {
      return await pool.transaction(async (tx) => {
        await tx.query('select 1')
        await payOut()
      })
    }
    const error = await rejection(closeAccount())
    expect(error).toBeInstanceOf(NestedTransactionError)
    expect(error).toMatchObject({ code: 'HOLDFAST_NESTED_TRANSACTION', message: expect.stringContaining('max') })
    expect(error.stack).toContain('payOut')
    expect((error.cause as Error).stack).toContain('closeAccount')
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('several at once on as many connections: one is told, the others go on', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 3, connectionTimeoutMillis: 60_000 })
    let inside = 0
    const all = deferred()
    const nest = (): Promise<unknown> =>
      pool.transaction(async () => {
        if (++inside === 3) all.resolve()
        await all.promise
        return pool.transaction((tx) => tx.query('select 1'))
      })
    const ends = await settles(Promise.allSettled([nest(), nest(), nest()]), 'all three')
    const failures = ends.filter(({ status }) => status === 'rejected')
    expect(failures).toMatchObject([{ reason: { name: 'NestedTransactionError' } }])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('is served while a connection may come: another transaction, or a statement, will end', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    const statement = pool.query('select pg_sleep(0.2)')
    const result = await pool.transaction(() => pool.transaction(() => 'inner'))
    expect(result).toBe('inner')
    await statement
  })
})
