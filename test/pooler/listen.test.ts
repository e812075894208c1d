import { OptionsError, Pool } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { Cluster, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })

describe('pool.listen() behind PgBouncer', () => {
  test.for([{}, { watch: false as const }, { pooler: 'transaction' as const }])(
    'is refused where nothing might be received, with %j',
    async (options, { cluster }) => {
      await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: 'transaction' })
      await using pool = new Pool({ ...pgbouncer.config(), ...options })
      const refused = await pool.listen('orders', () => {}).catch((error: unknown) => error)
      expect(refused).toBeInstanceOf(OptionsError)
      expect(String(refused)).toContain('pooler')
      expect(pool.status().listening).toBe(0)
    },
  )

  test("listens in session mode, with pooler: 'session'", async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: 'session' })
    await using pool = new Pool({ ...pgbouncer.config(), pooler: 'session' })
    const payloads: string[] = []
    await pool.listen('orders', (payload) => payloads.push(payload))
    await pool.query("select pg_notify('orders', 'one')")
    await until(() => payloads.length > 0, { what: 'the notification' })
    expect(payloads).toEqual(['one'])
  })
})
