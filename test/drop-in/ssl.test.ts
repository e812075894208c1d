import fs from 'node:fs/promises'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'
import { Cluster } from '../support/index.ts'
import { LIBRARIES } from './support/libraries.ts'

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('plain', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start({ tls: false })
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })
  .extend('bare', ({ cluster }) => {
    const { ssl, ...config } = cluster.config()
    return config
  })

/** Whether the session of the pool is encrypted. */
async function isEncrypted(pool: pg.Pool): Promise<unknown> {
  return (await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).rows[0]?.ssl
}

/** https://node-postgres.com/features/ssl */
describe.each(LIBRARIES)('$library: ssl', ({ open }) => {
  test('TLS with the authority of the server is verified', async ({ cluster, bare }) => {
    await using pool = open({ ...bare, ssl: { ca: await fs.readFile(cluster.caFile) } })
    expect(await isEncrypted(pool)).toBe(true)
  })

  test('an ssl of true verifies, and so refuses an unknown authority', async ({ bare }) => {
    await using pool = open({ ...bare, ssl: true })
    const error = await rejection(pool.query('select 1'))
    expect(error.code).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED/)
  })

  test('TLS without verification is possible', async ({ bare }) => {
    await using pool = open({ ...bare, ssl: { rejectUnauthorized: false } })
    expect(await isEncrypted(pool)).toBe(true)
  })

  test('a connection without TLS is refused by a server that demands it, with its code', async ({ bare }) => {
    await using pool = open(bare)
    expect(await rejection(pool.query('select 1'))).toMatchObject({ code: '28000' })
  })

  test('TLS is refused by a server that has none', async ({ plain }) => {
    await using pool = open(plain.config({ ssl: { rejectUnauthorized: false } }))
    expect((await rejection(pool.query('select 1'))).message).toContain('The server does not support SSL connections')
  })

  test('TLS can be negotiated directly', async ({ bare, cluster }) => {
    await using pool = open({ ...bare, ssl: { ca: cluster.ca }, sslnegotiation: 'direct' } as pg.PoolConfig)
    expect(await isEncrypted(pool)).toBe(true)
  })

  test('TLS can bind the password to the channel', async ({ direct }) => {
    await using pool = open({ ...direct, enableChannelBinding: true } as pg.PoolConfig)
    expect(await isEncrypted(pool)).toBe(true)
  })

  test('a client key for TLS is kept out of what is shown', async ({ bare }) => {
    const ssl = { rejectUnauthorized: false, key: 'SECRET' }
    await using pool = open({ ...bare, ssl })
    expect(JSON.stringify(pool.options)).not.toContain('SECRET')
  })

  const MODES = [
    { mode: 'sslmode=disable', encrypted: undefined },
    { mode: 'sslmode=no-verify', encrypted: true },
    { mode: 'sslmode=require', encrypted: undefined },
    { mode: 'sslmode=require&uselibpqcompat=true', encrypted: true },
    { mode: 'sslmode=verify-full&sslrootcert={ca}', encrypted: true },
    { mode: 'sslmode=verify-ca&sslrootcert={ca}', encrypted: true },
    { mode: 'sslmode=prefer&sslrootcert={ca}', encrypted: true },
    { mode: 'ssl=true&sslrootcert={ca}', encrypted: true },
    { mode: 'ssl=1', encrypted: undefined },
    { mode: 'ssl=0', encrypted: undefined },
    { mode: 'sslmode=verify-full&sslrootcert={ca}&sslnegotiation=direct', encrypted: true },
  ]

  test.for(MODES)('TLS is used as the connection string says: $mode', async ({ mode, encrypted }, { cluster }) => {
    const [address] = cluster.url.split('?')
    const parameters = mode.replace('{ca}', encodeURIComponent(cluster.caFile))
    await using pool = open({ connectionString: `${address}?${parameters}` })
    const outcome = await isEncrypted(pool).catch(() => undefined)
    expect(outcome).toBe(encrypted)
  })

  test('the option ssl counts beside a connection string that says nothing of it', async ({ cluster }) => {
    const [connectionString] = cluster.url.split('?') as [string]
    await using pool = open({ connectionString, ssl: { ca: cluster.ca as string } })
    expect(await isEncrypted(pool)).toBe(true)
  })
})
