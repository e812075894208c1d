import { BudgetError, Pool } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { Cluster } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

describe.each(['transaction', 'session'] as const)('behind PgBouncer, in %s mode', (poolMode) => {
  test('a budget is refused, every caller is told to set max, and no lock is left', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: poolMode })
    const warned: string[] = []
    const logger = { debug() {}, info() {}, warn: (text: string) => void warned.push(text), error() {} }
    await using pool = new Pool({ ...pgbouncer.config(), logger, budget: { total: 5, name: 'shop' } })
    for (let round = 0; round < 2; round++) {
      const outcomes = await Promise.allSettled(Array.from({ length: 3 }, () => pool.query('select 1')))
      for (const outcome of outcomes) {
        const { reason } = outcome as PromiseRejectedResult
        expect(reason).toBeInstanceOf(BudgetError)
        expect(reason).toMatchObject({ code: 'HOLDFAST_BUDGET_UNAVAILABLE', budget: 'shop' })
        expect(reason.message).toContain('Set max to the part of this process')
      }
    }
    expect(warned.filter((text) => text.includes('HOLDFAST_BUDGET'))).toHaveLength(1)
    expect(await cluster.query("select 1 from pg_locks where locktype = 'advisory'")).toEqual([])
  })
})
