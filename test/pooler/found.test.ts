import { Pool } from '@holdfast/core'
import pg from 'pg'
import { test as base, describe, expect } from 'vitest'
import { settles, unattended } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const TIMES = 8

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })
  .extend('told', () => [] as string[])
  .extend('logger', ({ told }) => {
    const ignore = (): void => {}
    return { debug: ignore, info: ignore, error: ignore, warn: (message?: unknown) => void told.push(String(message)) }
  })

describe.each(['transaction', 'session'] as const)('Holdfast finds PgBouncer, in %s mode,', (mode) => {
  test('by its first connection', async ({ cluster, logger, told }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode })
    await using pool = new Pool({ ...pgbouncer.config(), logger })
    await pool.query('select 1')
    expect(pool.status().pooler).toBe('some')
    expect(pool.inspect()).toMatchObject([{ isDirect: false }])
    expect(told).toEqual([])
  })

  test('without the watch by the first transaction, or by a statement that is sent often', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode })
    await using writing = new Pool({ ...pgbouncer.config(), watch: false })
    await writing.query('select 1')
    expect(writing.status().pooler).toBe('unknown')
    await writing.transaction((tx) => tx.query('select 1'))
    expect(writing.status().pooler).toBe('some')
    await using reading = new Pool({ ...pgbouncer.config(), watch: false })
    for (let time = 0; time < TIMES; time++) await reading.query('select $1::int', [time])
    expect(reading.status().pooler).toBe('some')
  })

  test.for([{}, { watch: false }])(
    'though it was told that there is none, and warns once: %o',
    async (options, { cluster, logger, told }) => {
      await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode })
      await using pool = new Pool({ ...pgbouncer.config(), max: 1, ...options, pooler: 'none', logger })
      for (let time = 0; time < TIMES; time++) {
        const { rows } = await pool.query('select $1::int as n', [time])
        expect(rows).toEqual([{ n: time }])
      }
      expect(told).toEqual([expect.stringMatching(/HOLDFAST_POOLER: There is a pooler/)])
      expect(pool.status().pooler).toBe('some')
    },
  )
})

test('Holdfast finds that PgBouncer pools transactions when another server has the next one, and then warns', async ({
  cluster,
  logger,
  told,
}) => {
  await using pgbouncer = await PgBouncer.start(cluster, { default_pool_size: 2 })
  const [first, second] = [new pg.Client(pgbouncer.config()), new pg.Client(pgbouncer.config())]
  for (const other of [first, second]) {
    await other.connect()
    await other.query('begin')
  }
  await using pool = new Pool({ ...pgbouncer.config(), max: 1, resetOnReturn: 'session', logger })
  const pids = new Set<number>()
  const write = (): Promise<unknown> =>
    pool.transaction(async (tx) => pids.add((await tx.query('select pg_backend_pid() as pid')).rows[0].pid))
  // Only one of the two servers is free at a time: first this one, then the other.
  await first.query('commit')
  await write()
  await until(() => pool.idleCount === 1)
  await first.query('begin')
  await second.query('commit')
  await write()
  for (const other of [first, second]) await other.end()
  expect(pids.size).toBe(2)
  expect(pool.status().pooler).toBe('transaction')
  expect(told).toEqual([expect.stringMatching(/HOLDFAST_SESSION_NEEDED: .*resetOnReturn/)])
})

test('Holdfast finds PgBouncer by its words', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { default_pool_size: 1, query_wait_timeout: 1 })
  const holder = new pg.Client(pgbouncer.config())
  await holder.connect()
  await holder.query('begin')
  await using pool = new Pool({ ...pgbouncer.config(), watch: false })
  const caller = unattended(pool.query('select 1'))
  await until(() => pool.status().pooler === 'some')
  await holder.end()
  await settles(caller, 'the caller')
})
