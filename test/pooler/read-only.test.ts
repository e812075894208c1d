import { Pool } from '@holdfast/core'
import { test as base, expect } from 'vitest'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const SIZE = 5
const CALLERS = 20
const READ_ONLY = 'default_transaction_read_only'

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.query('create table entry (id bigint generated always as identity)')
    await cluster.query('grant all on entry to app')
    return cluster
  })

test.for(['transaction', 'session'])(
  'Holdfast: a server that is set read only behind PgBouncer costs no caller an error, in %s mode',
  async (mode, { cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode })
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE })
    const insert = 'insert into entry default values'
    await Promise.all(Array.from({ length: SIZE }, () => pool.query(insert)))
    await cluster.setting(READ_ONLY, 'on')
    const writes = Array.from({ length: CALLERS }, () => pool.query(insert))
    const transactions = Array.from({ length: CALLERS }, () => pool.transaction((tx) => tx.query(insert)))
    const all = unattended(Promise.all([...writes, ...transactions]))
    await until(() => pool.waitingCount === 2 * CALLERS)
    await cluster.resetSetting(READ_ONLY)
    await settles(all, 'the callers')
    expect(await cluster.query('select count(*)::int from entry')).toEqual([{ count: SIZE + 2 * CALLERS }])
  },
)

test('Holdfast: a transaction that PgBouncer ends for its slowness runs once', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { query_timeout: 1 })
  await using pool = new Pool({ ...pgbouncer.config(), max: SIZE })
  let runs = 0
  const slow = pool.transaction(async (tx) => {
    runs++
    await tx.query('select pg_sleep(30)')
  })
  await rejection(slow)
  expect(runs).toBe(1)
  expect(await rejection(pool.query('select pg_sleep(30)'))).toMatchObject({ name: 'ConnectionLostError' })
})
