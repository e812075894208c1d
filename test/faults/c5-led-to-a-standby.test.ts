import { randomUUID } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import { ConnectionLostError, type Pool, type PoolOptions, PoolTimeoutError } from '@holdfast/core'
import pg from 'pg'
import { expect } from 'vitest'
import { type Cluster, FaultProxy, until } from '../support/index.ts'
import { test as base } from './support/failover-test.ts'
import { holdfast } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

/** A name that leads to the primary, and may be moved. */
const test = base.extend('address', async ({ primary }, { onCleanup }) => {
  const address = await FaultProxy.start(primary)
  onCleanup(() => address[Symbol.asyncDispose]())
  return address
})

/** A pool that has worked on the primary, and whose next connections lead to the standby. */
async function moved(address: FaultProxy, standby: Cluster, options: PoolOptions): Promise<Pool> {
  const pool = holdfast(options)
  await pool.query('select 1')
  address.retarget(standby)
  address.cut('rst')
  await until(() => pool.totalCount === 0)
  return pool
}

/** A payment that has been refused by the standby, and waits. */
async function refusedOnce(pool: Pool, id: string): Promise<{ readonly paid: Promise<unknown> }> {
  let isRefused = false
  const onRetry = (): void => {
    isRefused = true
  }
  const paid = unattended(pool.transaction((tx) => tx.query('insert into paid values ($1)', [id]), { onRetry }))
  await until(() => isRefused && pool.status().waiting === 1)
  return { paid }
}

async function countOf(cluster: Cluster, id: string): Promise<number> {
  return (await cluster.query('select from paid where id = $1', [id])).length
}

test('stock pg.Pool keeps the standby, though the name leads to a primary again', async ({
  primary,
  standby,
  address,
}) => {
  const config = address.config(primary.config())
  address.retarget(standby)
  const pool = new pg.Pool(config)
  const payAsDocumented = async (): Promise<void> => {
    const client = await pool.connect()
    try {
      await client.query('begin')
      await client.query("insert into paid values ('a')")
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }
  await expect(payAsDocumented()).rejects.toMatchObject({ code: '25006' })
  address.retarget(primary)
  await expect(payAsDocumented()).rejects.toMatchObject({ code: '25006' })
  await pool.end()
})

test('a transaction that meets a standby waits for a primary, and is written once', async ({
  primary,
  standby,
  address,
}) => {
  await using pool = await moved(address, standby, address.config(primary.config()))
  const id = randomUUID()
  const { paid } = await refusedOnce(pool, id)
  address.retarget(primary)
  await settles(paid, 'the payment')
  expect([await countOf(primary, id), pool.status().waiting]).toEqual([1, 0])
})

test('a transaction that meets a standby waits until it is promoted, and is written once', async ({
  primary,
  standby,
  address,
}) => {
  await using pool = await moved(address, standby, address.config(primary.config()))
  const id = randomUUID()
  const { paid } = await refusedOnce(pool, id)
  await primary.stop('immediate')
  await standby.promote()
  await settles(paid, 'the payment')
  expect(await countOf(standby, id)).toBe(1)
})

test('a standby that refuses a single write retires every older connection, and the error says that nothing was written', async ({
  primary,
  standby,
  address,
}) => {
  await using pool = await moved(address, standby, address.config(primary.config()))
  await Promise.all([pool.query('select pg_sleep(0.1)'), pool.query('select pg_sleep(0.1)')])
  expect(pool.totalCount).toBe(2)
  const client = await pool.connect()
  await client.query('select 1')
  const error = await rejection(client.query("insert into paid values ('a')"))
  expect(error).toBeInstanceOf(ConnectionLostError)
  expect(error).toMatchObject({ code: '25006', phase: 'query', commitOutcome: 'aborted', sent: true })
  client.release()
  await until(() => pool.totalCount === 0)
})

test('a single write that a standby has refused runs again on the primary', async ({ primary, standby, address }) => {
  await using pool = await moved(address, standby, address.config(primary.config()))
  const written = pool.query("insert into paid values ('again')")
  await until(() => pool.totalCount === 0)
  address.retarget(primary)
  expect(await settles(written, 'the write')).toMatchObject({ rowCount: 1 })
})

test('a pool that misses its primary gives no caller a standby: the deadline is kept, and the error gives the reason', async ({
  primary,
  standby,
  address,
}) => {
  const config = { ...address.config(primary.config()), connectionTimeoutMillis: 1500 }
  await using pool = await moved(address, standby, config)
  await rejection(pool.query("insert into paid values ('a')"))
  const error = await rejection(pool.query('select 1'))
  expect(error).toBeInstanceOf(PoolTimeoutError)
  expect((error as Error).message).toMatch(/the server is in hot standby/)
  address.retarget(primary)
  await pool.query("insert into paid values ('b')")
})

test('a pool that never met a primary keeps its standby: the write is a mistake of the application', async ({
  standby,
}) => {
  await using pool = holdfast(standby.config())
  const { rows } = await pool.query('select pg_backend_pid() as pid')
  await expect(pool.query("insert into paid values ('a')")).rejects.toMatchObject({ name: 'error', code: '25006' })
  expect((await pool.query('select pg_backend_pid() as pid')).rows).toEqual(rows)
})

test('a pooler that reports an outdated role of its server excludes no connection', async ({ primary }) => {
  let isStale = false
  class Greeted extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      super(config)
      const { connection } = this as unknown as { connection: EventEmitter }
      const emit = connection.emit.bind(connection)
      connection.emit = (event, message, ...more) => {
        const isRole = isStale && event === 'parameterStatus' && message.parameterName === 'in_hot_standby'
        return emit(event, isRole ? { ...message, parameterValue: 'on' } : message, ...more)
      }
    }
  }
  await using pool = holdfast({ ...primary.config(), Client: Greeted })
  await pool.query('select 1')
  isStale = true
  pool.invalidate()
  const writing = pool.transaction((tx) => tx.query("insert into paid values ('a')"), {
    accessMode: 'read only',
    retry: false,
  })
  expect(await rejection(writing)).toMatchObject({ name: 'ConnectionLostError', code: '25006' })
  await settles(pool.query("insert into paid values ('b')"), 'the next statement')
})

test('a write in a read-only transaction on the primary is a mistake of the application, and runs once', async ({
  primary,
}) => {
  await using pool = holdfast(primary.config())
  let attempts = 0
  const writing = pool.transaction(
    (tx) => {
      attempts++
      return tx.query("insert into paid values ('a')")
    },
    { accessMode: 'read only' },
  )
  await expect(writing).rejects.toMatchObject({ name: 'error', code: '25006' })
  expect([attempts, pool.idleCount]).toEqual([1, 1])
})
