import { Pool, PoolTimeoutError } from '@holdfast/core'
import pg from 'pg'
import { test as base, expect } from 'vitest'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

/** Holds the only server connection of a pooler, until it is ended. */
async function hold(pgbouncer: PgBouncer): Promise<pg.Client> {
  const client = new pg.Client(pgbouncer.config())
  await client.connect()
  await client.query('begin')
  return client
}

test('Holdfast: connections that are idle serve the callers for which a full pooler has no server', async ({
  cluster,
}) => {
  await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: 'session', default_pool_size: 2 })
  await using pool = new Pool({ ...pgbouncer.config(), max: 4, idleTimeoutMillis: 0, connectionTimeoutMillis: 60_000 })
  await pool.query('select 1')
  const callers = Array.from({ length: 4 }, () => pool.query('select pg_sleep(0.2)'))
  await settles(Promise.all(callers), 'the callers')
  expect(pool.waitingCount).toBe(0)
})

test('Holdfast: a caller rejects at its deadline when a full pooler has no server for a new connection', async ({
  cluster,
}) => {
  await using pgbouncer = await PgBouncer.start(cluster, { default_pool_size: 1 })
  await using pool = new Pool({ ...pgbouncer.config(), max: 4, connectionTimeoutMillis: 1000 })
  await pool.query('select 1')
  await pool.dispose()
  const holder = await hold(pgbouncer)
  expect(await rejection(pool.query('select 1'))).toBeInstanceOf(PoolTimeoutError)
  await holder.end()
  await settles(pool.query('select 1'), 'the next statement')
})

test('Holdfast: a caller that waits for a full pooler is served as soon as that has a server', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { default_pool_size: 1 })
  await using pool = new Pool({ ...pgbouncer.config(), max: 4 })
  await pool.query('select 1')
  await pool.dispose()
  const holder = await hold(pgbouncer)
  const callers = unattended(Promise.all([pool.query('select 1'), pool.query('select 2')]))
  await until(() => pool.waitingCount === 2)
  await holder.end()
  await settles(callers, 'the callers')
})
