import { Pool } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { holdfast, warmUp } from '../faults/support/pools.ts'
import { Cluster, until } from '../support/index.ts'

const MAX_CONNECTIONS = 20
const RESERVED = 3 + 2

/** With a server that has little to grant, and logs what it is asked. */
const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('small', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start({
      settings: {
        max_connections: MAX_CONNECTIONS,
        superuser_reserved_connections: 3,
        reserved_connections: 2,
        log_statement: 'all',
        max_wal_senders: 0,
        wal_level: 'replica',
      },
    })
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })
  .extend('config', ({ small, applicationName }) => small.config({ application_name: applicationName }))
  .extend('told', () => [] as string[])
  .extend('logger', ({ told }) => {
    const ignore = (): void => {}
    return { debug: ignore, info: ignore, error: ignore, warn: (message?: unknown) => void told.push(String(message)) }
  })

async function asked(cluster: Cluster): Promise<number> {
  return cluster.log.split('rolconnlimit').length - 1
}

describe('what the server grants', () => {
  test('what the server grants is queried once, and causes one warning', async ({ small, config, told, logger }) => {
    const before = await asked(small)
    // None of them is too many, so that nothing else is asked.
    await using pool = holdfast({ ...config, max: 100, min: 3, logger })
    await warmUp(pool, 3)
    await until(() => told.length === 1)
    const grants = MAX_CONNECTIONS - RESERVED
    expect(told[0]).toContain(`1 process with max: 100 can want 100 connections, but the server grants ${grants}`)
    expect(told[0]).toContain(`Lower max to ${grants}`)
    // By the time that a second pool has been warned, maintenance of the first has run again.
    await using other = holdfast({ ...config, max: 100, min: 1, logger, name: 'other' })
    await warmUp(other, 1)
    await until(() => told.some((line) => line.startsWith('[holdfast:other')))
    expect(await asked(small)).toBe(before + 2)
    await pool.query('select 1')
    expect(told).toHaveLength(2)
  })

  test.for([MAX_CONNECTIONS - RESERVED, 1])(
    'what the server grants causes no warning if it is enough: max %i',
    async (max, { small, config, told, logger }) => {
      const before = await asked(small)
      await using pool = holdfast({ ...config, max, logger })
      await pool.query('select 1')
      await until(async () => (await asked(small)) > before)
      await until(() => pool.idleCount === 1)
      expect(told).toEqual([])
    },
  )

  test('what the server grants to a superuser is that of the whole server', async ({ config, told, logger }) => {
    await using pool = holdfast({ ...config, user: 'postgres', max: MAX_CONNECTIONS + 1, logger })
    await pool.query('select 1')
    await until(() => told.length === 1)
    expect(told[0]).toContain(`the server grants ${MAX_CONNECTIONS}.`)
  })

  test('what the server grants is the connection limit of the role', async ({ small, config, told, logger }) => {
    await small.query(`create role frugal login password '${small.password}' connection limit 2`)
    await using pool = holdfast({ ...config, user: 'frugal', logger })
    await pool.query('select 1')
    await until(() => told.length === 1)
    expect(told[0]).toContain('max: 10 can want 10 connections, but the server grants 2. Lower max to 2')
  })

  test('what the server grants is the connection limit of the role that logged in, whatever role is set', async ({
    small,
    config,
    told,
    logger,
  }) => {
    await small.query(`create role actor login password '${small.password}' connection limit 2 in role app`)
    await using pool = holdfast({
      ...config,
      user: 'actor',
      logger,
      onConnect: async (client) => {
        await client.query('set role app')
      },
    })
    await pool.query('select 1')
    await until(() => told.length === 1)
    expect(told[0]).toContain('the server grants 2.')
  })

  test('what the server grants is the connection limit of the database', async ({ small, config, told, logger }) => {
    await small.query('create database little owner app connection limit 4')
    await using pool = holdfast({ ...config, database: 'little', logger })
    await pool.query('select 1')
    await until(() => told.length === 1)
    expect(told[0]).toContain('the server grants 4.')
  })

  test('what the server grants is unknown if it refuses the query', async ({ small, config, told, logger }) => {
    await small.query('create database secret owner app')
    const admin = new Pool({ ...config, user: 'postgres', database: 'secret' })
    await admin.query('revoke select on pg_catalog.pg_database, pg_catalog.pg_roles from public')
    await admin.end()
    const before = await asked(small)
    await using pool = holdfast({ ...config, database: 'secret', max: 100, logger })
    await pool.query('select 1')
    await until(async () => (await asked(small)) > before)
    await until(() => pool.idleCount === 1)
    expect((await pool.query('select 1 as it')).rows).toEqual([{ it: 1 }])
    expect(told).toEqual([])
  })
})
