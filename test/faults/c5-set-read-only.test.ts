import { randomUUID } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import { type Pool, PoolTimeoutError } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { Cluster, until } from '../support/index.ts'
import { test as base } from './support/fault-test.ts'
import { holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

const CONNECTIONS = 3
const READ_ONLY = 'default_transaction_read_only'

/** A server that takes writes again when the test is over. */
const test = base.extend('server', async ({ cluster }, { onCleanup }) => {
  onCleanup(() => cluster.resetSetting(READ_ONLY))
  return cluster
})

const insertOf = (id: string): string => `insert into entry values ('${id}')`

async function countOf(cluster: Cluster, id: string): Promise<number> {
  return (await cluster.query('select from entry where id = $1', [id])).length
}

/** A pool that has written. */
async function written(pool: Pool): Promise<Pool> {
  await warmUp(pool, CONNECTIONS)
  await pool.query(insertOf(randomUUID()))
  return pool
}

/** Waits until a statement or a transaction has been refused, and its caller waits for a server that takes writes. */
async function untilRefused(pool: Pool): Promise<void> {
  await until(() => pool.status().waiting > 0 && pool.totalCount <= 1)
}

/** Writes while the server takes no writes: the caller waits until it does, and the row is there once. */
async function waitsUntilWritable(
  server: Cluster,
  pool: Pool,
  write: (insert: string) => Promise<unknown>,
): Promise<void> {
  await server.setting(READ_ONLY, 'on')
  const id = randomUUID()
  const written = unattended(write(insertOf(id)))
  await untilRefused(pool)
  await server.resetSetting(READ_ONLY)
  await settles(written, 'the write')
  expect(await countOf(server, id)).toBe(1)
}

/** What a session of PostgreSQL 13, or a pooler that passes on little, doesn't report. */
const UNREPORTED = new Set([READ_ONLY, 'in_hot_standby'])

class Unreported extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config)
    const { connection } = this as unknown as { connection: EventEmitter }
    const emit = connection.emit.bind(connection)
    connection.emit = (event, message, ...more) =>
      event === 'parameterStatus' && UNREPORTED.has(message.parameterName) ? true : emit(event, message, ...more)
  }
}

test('stock pg.Pool: every write to a server that was set read only is an error', async ({ server, direct }) => {
  await using pool = new StockPool(direct)
  await warmUp(pool, CONNECTIONS)
  await server.setting(READ_ONLY, 'on')
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => pool.query(insertOf(randomUUID()))))
  for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { code: '25006' } })
})

describe.each([
  { what: 'that reports its settings', options: {} },
  { what: 'that reports no settings', options: { Client: Unreported } },
])('a server $what', ({ what, options }) => {
  test.for(WAYS)(
    `Holdfast: a write to a server ${what} and was set read only waits until it takes writes, through $way`,
    async ({ run }, { server, direct }) => {
      await using pool = await written(holdfast({ ...direct, ...options, max: CONNECTIONS }))
      await waitsUntilWritable(server, pool, (insert) => run(pool, insert))
    },
  )

  test(`Holdfast: a transaction on a server ${what} and was set read only waits, and is written once`, async ({
    server,
    direct,
  }) => {
    await using pool = await written(holdfast({ ...direct, ...options, max: CONNECTIONS }))
    await waitsUntilWritable(server, pool, (insert) => pool.transaction((tx) => tx.query(insert)))
  })
})

test.for(WAYS)(
  'Holdfast: a transactional write to a server that was set read only waits, and is written once, through $way',
  async ({ run }, { server, direct }) => {
    await using pool = await written(holdfast({ ...direct, max: CONNECTIONS, transactionalWrites: true }))
    await waitsUntilWritable(server, pool, (insert) => run(pool, insert))
  },
)

test('Holdfast: a write to a server that stays read only reaches the one that its name leads to since', async ({
  server,
  proxy,
  proxied,
}) => {
  await using other = await Cluster.start()
  await other.query('create table entry (id text primary key); grant all on entry to app')
  await using pool = await written(holdfast({ ...proxied, max: CONNECTIONS, ssl: { rejectUnauthorized: false } }))
  await server.setting(READ_ONLY, 'on')
  const id = randomUUID()
  const write = unattended(pool.query(insertOf(id)))
  await untilRefused(pool)
  proxy.retarget(other)
  await settles(write, 'the write')
  expect([await countOf(server, id), await countOf(other, id)]).toEqual([0, 1])
})

test('Holdfast: at the deadline the error says that the server is read only, and from then on it may be read', async ({
  server,
  direct,
}) => {
  await using pool = await written(holdfast({ ...direct, max: CONNECTIONS, connectionTimeoutMillis: 1000 }))
  await server.setting(READ_ONLY, 'on')
  const error = await rejection(pool.query(insertOf(randomUUID())))
  expect(error).toBeInstanceOf(PoolTimeoutError)
  expect(error.message).toMatch(/the server is read only/)
  await until(() => pool.query('select 1').then(Boolean, () => false))
  await server.resetSetting(READ_ONLY)
  await until(() => pool.query(insertOf(randomUUID())).then(Boolean, () => false))
})

describe('a write that the application itself has forbidden', () => {
  test('Holdfast: a write in a read-only transaction of the application is a plain 25006, and costs no connection', async ({
    direct,
  }) => {
    await using pool = await written(holdfast({ ...direct, max: CONNECTIONS }))
    const error = await rejection(
      pool.transaction((tx) => tx.query(insertOf(randomUUID())), { accessMode: 'read only' }),
    )
    expect(error).toMatchObject({ name: 'error', code: '25006' })
    await expect.poll(() => pool.totalCount).toBe(CONNECTIONS)
    await pool.query(insertOf(randomUUID()))
  })

  test('Holdfast: a write in a session that the application has set read only is a plain 25006', async ({ direct }) => {
    await using pool = await written(holdfast({ ...direct, max: CONNECTIONS }))
    const client = await pool.connect()
    await client.query(`set ${READ_ONLY} = on`)
    expect(await rejection(client.query(insertOf(randomUUID())))).toMatchObject({ name: 'error', code: '25006' })
    client.release(true)
    await pool.query(insertOf(randomUUID()))
  })

  test('Holdfast: a write by a role that has become read only is a plain 25006', async ({ server, direct }) => {
    await server.query("create role reader login password 'reader'; grant all on entry to reader")
    await using pool = await written(holdfast({ ...direct, user: 'reader', password: 'reader', max: CONNECTIONS }))
    await server.query(`alter role reader set ${READ_ONLY} = on`)
    pool.invalidate()
    expect(await rejection(pool.query(insertOf(randomUUID())))).toMatchObject({ name: 'error', code: '25006' })
  })

  test('Holdfast: a pool that never met a server that takes writes gets a plain 25006', async ({ server, direct }) => {
    await server.setting(READ_ONLY, 'on')
    await using pool = holdfast({ ...direct, max: CONNECTIONS })
    await pool.query('select 1')
    expect(await rejection(pool.query(insertOf(randomUUID())))).toMatchObject({ name: 'error', code: '25006' })
  })
})
