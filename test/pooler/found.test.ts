import { Pool } from '@holdfast/core'
import pg from 'pg'
import { test as base, describe, expect } from 'vitest'
import { Cluster } from '../support/index.ts'
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
  await using pool = new Pool({ ...pgbouncer.config(), max: 1, resetOnReturn: 'session', logger })
  const pids = new Set<number>()
  const write = (): Promise<unknown> =>
    pool.transaction(async (tx) => pids.add((await tx.query('select pg_backend_pid() as pid')).rows[0].pid))
  await write()
  const other = new pg.Client(pgbouncer.config())
  await other.connect()
  await other.query('begin')
  await write()
  await other.end()
  expect(pids.size).toBe(2)
  expect(pool.status().pooler).toBe('transaction')
  expect(told).toEqual([expect.stringMatching(/HOLDFAST_SESSION_NEEDED: .*resetOnReturn/)])
})

test('Holdfast finds PgBouncer by its words', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { max_client_conn: 1 })
  const only = new pg.Client(pgbouncer.config())
  await only.connect()
  await using pool = new Pool({ ...pgbouncer.config(), connectionTimeoutMillis: 500 })
  await expect(pool.query('select 1')).rejects.toThrow('no more connections allowed')
  expect(pool.status().pooler).toBe('some')
  await only.end()
})
