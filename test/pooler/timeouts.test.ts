import { Pool, PoolTimeoutError } from '@holdfast/core'
import pg from 'pg'
import { test as base, describe, expect } from 'vitest'
import { rejection, settles } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'
import { CALLERS, traffic } from './support/traffic.ts'

const SIZE = 5

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.query('create table entry (id bigint generated always as identity, of text)')
    await cluster.query('grant all on entry to app')
    return cluster
  })

/** The processes of the server that serve clients now. */
async function servers(cluster: Cluster): Promise<number[]> {
  return (await cluster.sessions()).filter(({ user }) => user === 'app').map(({ pid }) => pid)
}

async function callersOf(pool: Pool): Promise<void> {
  const reads = Array.from({ length: SIZE }, (_, n) => pool.query('select $1::int', [n]))
  const writes = Array.from({ length: SIZE }, () =>
    pool.transaction((tx) => tx.query("insert into entry (of) values ('idle')")),
  )
  await settles(Promise.all([...reads, ...writes]), 'the callers')
}

describe.each(['transaction', 'session'] as const)('in %s mode', (mode) => {
  test('Holdfast: server_idle_timeout costs no caller an error', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode, server_idle_timeout: 1 })
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, idleTimeoutMillis: 0 })
    await callersOf(pool)
    // In session mode a server isn't idle as long as its client is there.
    if (mode === 'transaction') await until(async () => (await servers(cluster)).length === 0)
    await callersOf(pool)
  })

  test('Holdfast: client_idle_timeout costs no caller an error', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode, client_idle_timeout: 1 })
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, idleTimeoutMillis: 0 })
    await callersOf(pool)
    // In session mode a client that has a server isn't idle.
    if (mode === 'transaction') await until(() => pool.totalCount === 0)
    await callersOf(pool)
  })

  test('Holdfast: server_lifetime costs no caller an error under load', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode, server_lifetime: 1 })
    // In session mode a server is replaced when its client leaves.
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, maxLifetimeSeconds: 0.2 })
    const of = `lifetime ${mode}`
    const writes = traffic(() => pool.transaction((tx) => tx.query('insert into entry (of) values ($1)', [of])))
    await until(() => writes.outcomes.succeeded > CALLERS)
    const before = await servers(cluster)
    await until(async () => {
      const now = await servers(cluster)
      return now.length > 0 && before.every((pid) => !now.includes(pid))
    })
    const { errors, succeeded } = await writes.stop()
    expect(errors).toEqual([])
    expect(await cluster.query('select count(*)::int from entry where "of" = $1', [of])).toEqual([{ count: succeeded }])
  })

  test('Holdfast: query_wait_timeout is no error for a caller whose deadline is later', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, {
      pool_mode: mode,
      default_pool_size: 1,
      query_wait_timeout: 1,
    })
    const holder = new pg.Client(pgbouncer.config())
    await holder.connect()
    await holder.query('begin')
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, pooler: mode })
    await using hasty = new Pool({ ...pgbouncer.config(), max: SIZE, pooler: mode, connectionTimeoutMillis: 1500 })
    const caller = pool.query('insert into entry (of) values ($1)', [`wait ${mode}`])
    const error = await rejection(hasty.query('select 1'))
    expect(error).toBeInstanceOf(PoolTimeoutError)
    expect(error.message).toContain('query_wait_timeout')
    await holder.end()
    await settles(caller, 'the caller')
    expect(await cluster.query('select count(*)::int from entry where "of" = $1', [`wait ${mode}`])).toEqual([
      { count: 1 },
    ])
  })
})
