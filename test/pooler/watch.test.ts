import diagnostics from 'node:diagnostics_channel'
import { Pool, type PoolEventMessage } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { Cluster } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const SIZE = 5

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

describe.each(['transaction', 'session'] as const)('behind PgBouncer, in %s mode', (poolMode) => {
  test('slow statements are left alone, and the pool says once that it sees no sessions', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: poolMode })
    const name = `watched-${poolMode}`
    const told: unknown[] = []
    const note = (message: unknown): void => {
      const event = message as PoolEventMessage<'watch-limited' | 'connection-declared-dead'>
      if (event.pool.name === name) told.push(event.type === 'watch-limited' ? event.reason : event.verdict)
    }
    for (const type of ['watch-limited', 'connection-declared-dead']) diagnostics.subscribe(`holdfast:${type}`, note)
    await using pool = new Pool({ ...pgbouncer.config(), name, max: SIZE })
    for (let round = 0; round < 2; round++) {
      const statements = Array.from({ length: SIZE }, (_, n) => pool.query('select pg_sleep(3), $1::int as n', [n]))
      const rows = (await Promise.all(statements)).map((result) => result.rows[0].n)
      expect(rows).toEqual([0, 1, 2, 3, 4])
    }
    expect(told).toEqual(['not-direct'])
  })
})
