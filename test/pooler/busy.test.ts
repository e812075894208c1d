import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from '@holdfast/core'
import pg from 'pg'
import { test as base, expect } from 'vitest'
import { settles } from '../faults/support/settling.ts'
import { Cluster } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const SIZE = 6
/** Longer than a ping may take where the server itself is at the other end. */
const BUSY_MILLIS = 2500

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

/** Opens as many connections as the pool may have. Returns their numbers. */
async function fill(pool: Pool): Promise<number[]> {
  const clients = await Promise.all(Array.from({ length: SIZE }, () => pool.connect()))
  for (const client of clients) client.release()
  return idsOf(pool)
}

function idsOf(pool: Pool): number[] {
  return pool.inspect().map(({ id }) => id)
}

test('Holdfast: pings that a busy pooler answers late cost no connection', async ({ cluster }) => {
  await using pgbouncer = await PgBouncer.start(cluster, { default_pool_size: 1 })
  await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, prePing: { idleMillis: 0 }, idleTimeoutMillis: 0 })
  const opened = await fill(pool)
  const holder = new pg.Client(pgbouncer.config())
  await holder.connect()
  await holder.query('begin')
  const callers = Promise.all(opened.map(() => pool.query('select 1')))
  await pause(BUSY_MILLIS) // For as long it is busy.
  await holder.end()
  await settles(callers, 'the callers')
  expect(idsOf(pool)).toEqual(opened)
})
