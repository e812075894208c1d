import { OptionsError, type Pool, type PoolOptions, sharedPool } from '@holdfast/core'
import type pg from 'pg'
import { expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { StockPool, warmUp } from '../faults/support/pools.ts'
import { until } from '../support/index.ts'

const EDITS = 5
const SIZE = 2

/** Shared pools, which are ended with the test. */
const test = base.extend('shared', async ({ applicationName }, { onCleanup }) => {
  const pools = new Set<Pool>()
  onCleanup(async () => {
    const open = [...pools].filter((pool) => !pool.ending)
    await Promise.all(open.map((pool) => pool.end()))
  })
  return (options: PoolOptions): Pool => {
    const pool = sharedPool(applicationName, options)
    pools.add(pool)
    return pool
  }
})

/** A module that makes a pool is loaded, and again after each edit. */
async function edited(load: () => pg.Pool): Promise<pg.Pool[]> {
  const pools: pg.Pool[] = []
  for (let edit = 0; edit <= EDITS; edit++) {
    const pool = load()
    await warmUp(pool, SIZE)
    pools.push(pool)
  }
  return pools
}

test('stock pg.Pool: each edit leaves the connections of the module before open', async ({ cluster, direct }) => {
  const pools = await edited(() => new StockPool({ ...direct, max: SIZE }))
  expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe((EDITS + 1) * SIZE)
  await Promise.all(pools.map((pool) => pool.end()))
})

test('a shared pool is the same one after each edit', async ({ cluster, direct, shared }) => {
  const pools = await edited(() => shared({ ...direct, max: SIZE }))
  expect(new Set(pools).size).toBe(1)
  expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(SIZE)
  expect(shared({ ...direct, max: SIZE }).status().max).toBe(SIZE)
})

test('with other options another pool is made, and the former one ends when its callers are done', async ({
  cluster,
  direct,
  shared,
}) => {
  const former = shared({ ...direct, max: SIZE })
  const client = await former.connect()
  const pool = shared({ ...direct, max: SIZE + 1 })
  expect(pool).not.toBe(former)
  expect((await client.query('select 1 as it')).rows).toEqual([{ it: 1 }])
  client.release()
  await until(() => former.ended)
  await warmUp(pool, 1)
  expect(await cluster.countSessions({ applicationName: direct.application_name })).toBe(1)
})

test('a shared pool that has ended is made again', async ({ direct, shared }) => {
  const former = shared(direct)
  await former.end()
  const pool = shared(direct)
  expect(pool).not.toBe(former)
  expect((await pool.query('select 1 as it')).rows).toEqual([{ it: 1 }])
})

test('a shared pool needs a name, and its options are checked', () => {
  expect(() => sharedPool('')).toThrow(OptionsError)
  expect(() => sharedPool(undefined as unknown as string)).toThrow('`name` must be a name, got undefined.')
  expect(() => sharedPool('wrong', { max: -1 })).toThrow('`max` must be a whole number from 1 on, got -1.')
})

test('a module that shares a pool loads without an address, as in a build, and its first query asks for the variable', async ({
  shared,
}) => {
  const pool = shared({ connectionString: undefined, port: 1, connectRetry: { retries: 0 } })
  expect(pool.totalCount).toBe(0)
  await expect(pool.query('select 1')).rejects.toThrow(/is the variable set that `connectionString` comes from/)
})
