import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ConnectionLostError, type PoolOptions } from '@holdfast/core'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test as faultTest } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { allIsWell, LOSSES, type Place } from './support/losses.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const test = faultTest
  .extend('place', ({ cluster, proxy, applicationName }): Place => ({ cluster, proxy, applicationName }))
  .extend('options', ({ proxied }): PoolOptions => ({ ...proxied, max: 1 }))
  .extend('pool', ({ options }, { onCleanup }) => {
    const pool = holdfast(options)
    onCleanup(() => pool[Symbol.asyncDispose]())
    return pool
  })
  /** Leased from `pool`; the test releases it. */
  .extend('client', ({ pool }) => pool.connect())

/** The first two rows arrive at once, the third never. */
const STALLS_AFTER_TWO = "select n, case when n > 2 then pg_sleep('infinity') end from generate_series(1, 5) as n"

/** The error that every user of a stream must get. */
function lostError(code: unknown, facts: object = {}): object {
  return expect.objectContaining({ name: 'ConnectionLostError', code, sent: true, cause: expect.any(Error), ...facts })
}

/** Resolves when the driver has noticed the end of a client's connection, and has called its listeners. */
async function gone(client: pg.PoolClient): Promise<void> {
  const { stream } = client.connection
  await until(() => stream.closed)
  // The driver calls its listeners in the next tick, a cursor in the next turn of the event loop.
  for (let turn = 1; turn <= 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Resolves with the first argument of a callback: an error, or nothing. */
function calledBack(start: (callback: (error?: Error | null) => void) => void): Promise<Error | null | undefined> {
  return settles(new Promise((resolve) => start((error) => resolve(error))), 'the callback')
}

describe.each(LOSSES)('a cursor is open, and $loss', ({ code, happen }) => {
  test('stock pg.Pool: close() of a cursor never settles when $loss', async ({ proxied, place }) => {
    await using pool = new StockPool({ ...proxied, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor(STALLS_AFTER_TWO))
    await cursor.read(2)
    const read = rejection(cursor.read(1))
    await happen(place)
    await read
    const closed = cursor.close()
    await gone(client)
    expect(await isPending(closed)).toBe(true)
  })

  test('Holdfast: every read of a lost cursor rejects, and close() settles', async ({ place, pool, client }) => {
    const cursor = client.query(new Cursor(STALLS_AFTER_TWO))
    await cursor.read(2)
    const read = rejection(cursor.read(1))
    await happen(place)
    expect(await read).toEqual(lostError(code))
    expect(await rejection(cursor.read(1))).toEqual(lostError(code))
    await settles(cursor.close(), 'close()')
    await settles(cursor.close(), 'the second close()')
    client.release()
    await allIsWell(pool, place)
  })

  test('Holdfast: a cursor calls its callbacks back with the loss', async ({ place, pool, client }) => {
    const cursor = client.query(new Cursor(STALLS_AFTER_TWO))
    await cursor.read(2)
    const read = calledBack((done) => cursor.read(1, done))
    await happen(place)
    expect(await read).toEqual(lostError(code))
    expect(await calledBack((done) => cursor.close(done as () => void))).toBeFalsy()
    client.release()
    await allIsWell(pool, place)
  })

  test('Holdfast: a read after the loss rejects, and the slot is free before', async ({ place, pool, client }) => {
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(2)
    await happen(place)
    await gone(client)
    await allIsWell(pool, place)
    expect(await rejection(cursor.read(1))).toEqual(lostError(code))
    await settles(cursor.close(), 'close()')
    client.release()
  })

  test('Holdfast: a waiting close() of a lost cursor settles', async ({ proxy, place, pool, client }) => {
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(2)
    // The server never receives it.
    proxy.swallow({ links: proxy.links, direction: 'to-server' })
    const closed = cursor.close()
    expect(await isPending(closed)).toBe(true)
    await happen(place)
    await settles(closed, 'close()')
    client.release()
    await allIsWell(pool, place)
  })

  test("Holdfast: the last read rejects when all rows have arrived and CommandComplete hasn't", async ({
    proxy,
    place,
    pool,
    client,
  }) => {
    const cursor = client.query(new Cursor('select generate_series(1, 3)'))
    const arrived = new Promise<void>((resolve) => {
      cursor.once('row', () => {
        proxy.swallow({ links: proxy.links, direction: 'to-server' })
        resolve()
      })
    })
    const read = unattended(cursor.read(100))
    await settles(arrived, 'the first row')
    expect(await isPending(read)).toBe(true)
    await happen(place)
    expect(await rejection(read)).toEqual(lostError(code))
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, place)
  })

  test('Holdfast: a cursor that waits for its turn was never sent', async ({
    cluster,
    applicationName,
    place,
    pool,
    client,
  }) => {
    const running = rejection(client.query("select pg_sleep('infinity')"))
    const cursor = client.query(new Cursor('select 1'))
    const read = rejection(cursor.read(1))
    await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) === 1)
    await happen(place)
    await running
    expect(await read).toEqual(lostError(code, { sent: false }))
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, place)
  })

  test('Holdfast: a cursor that is opened after the loss rejects at once', async ({ place, pool, client }) => {
    await happen(place)
    await gone(client)
    const cursor = client.query(new Cursor('select 1'))
    expect(await rejection(cursor.read(1))).toEqual(lostError(code, { sent: false }))
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, place)
  })
})

describe.each(LOSSES)('a query stream is open, and $loss', ({ code, happen }) => {
  test('stock pg.Pool: the reader of a query stream waits without an end when $loss', async ({ proxied, place }) => {
    await using pool = new StockPool({ ...proxied, max: 1 })
    const client = await pool.connect()
    const stream = client.query(new QueryStream(STALLS_AFTER_TWO, [], { batchSize: 1 }))
    const rows: unknown[] = []
    const read = unattended(readAll(stream, rows))
    await until(() => rows.length === 2)
    await happen(place)
    await gone(client)
    expect(await isPending(read)).toBe(true)
  })

  test('Holdfast: for await over a lost query stream rejects, and frees the slot', async ({ place, pool, client }) => {
    const stream = client.query(new QueryStream(STALLS_AFTER_TWO, [], { batchSize: 1 }))
    const rows: unknown[] = []
    const read = rejection(readAll(stream, rows).finally(() => client.release()))
    await until(() => rows.length === 2)
    await happen(place)
    expect(await read).toEqual(lostError(code))
    await allIsWell(pool, place)
  })

  test('Holdfast: a pipeline of a query stream rejects with the loss', async ({ place, pool, client }) => {
    const stream = client.query(new QueryStream(STALLS_AFTER_TWO, [], { batchSize: 1 }))
    const sink = sinkhole()
    const piped = rejection(pipeline(stream, sink))
    await until(() => sink.count === 2)
    await happen(place)
    expect(await piped).toEqual(lostError(code))
    client.release()
    await allIsWell(pool, place)
  })

  test('Holdfast: a destroyed query stream closes when it is lost', async ({ proxy, place, pool, client }) => {
    const stream = client.query(new QueryStream('select generate_series(1, 1000)'))
    await new Promise((resolve) => stream.once('readable', resolve))
    proxy.swallow({ links: proxy.links, direction: 'to-server' })
    stream.destroy()
    expect(stream.closed).toBe(false)
    await happen(place)
    await until(() => stream.closed, { what: 'the stream to close' })
    client.release()
    await allIsWell(pool, place)
  })

  test('Holdfast: a reader of a query stream that begins after the loss gets the error then, not a crash before', async ({
    place,
    pool,
    client,
  }) => {
    const stream = client.query(new QueryStream('select generate_series(1, 1000)'))
    await happen(place)
    await gone(client)
    await allIsWell(pool, place)
    expect(await rejection(readAll(stream))).toEqual(lostError(code))
    client.release()
  })
})

describe.each(LOSSES)('a copy stream is open, and $loss', ({ code, happen }) => {
  test('Holdfast: the reader of a copy stream gets the loss, and the slot is free again', async ({
    cluster,
    applicationName,
    place,
    pool,
    client,
  }) => {
    const stream = client.query(to(`copy (${STALLS_AFTER_TWO}) to stdout`))
    const read = rejection(readAll(stream).finally(() => client.release()))
    await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) === 1)
    await happen(place)
    expect(await read).toEqual(lostError(code))
    await until(() => stream.closed, { what: 'the stream to close' })
    await allIsWell(pool, place)
  })

  test('Holdfast: the writer of a copy stream gets the loss, and nothing is written', async ({
    cluster,
    applicationName,
    place,
    pool,
    client,
  }) => {
    const ingest = client.query(from('copy entry from stdin'))
    let written = 0
    const source = Readable.from(
      (async function* () {
        for (; ; written++) {
          yield `${applicationName} ${written}\n`
          await new Promise((resolve) => setImmediate(resolve))
        }
      })(),
    )
    const copied = rejection(pipeline(source, ingest))
    await until(() => written > 100)
    await happen(place)
    // The write to the closed socket may fail before the reason is read.
    expect(await copied).toEqual(lostError(expect.stringMatching(`^(${code}|EPIPE|ECONNRESET)$`)))
    await until(() => ingest.closed, { what: 'the stream to close' })
    client.release()
    await allIsWell(pool, place)
    expect(await cluster.query('select from entry where id like $1', [`${applicationName} %`])).toEqual([])
  })

  test('Holdfast: the writer of a copy stream that waits for the answer to everything gets the loss', async ({
    proxy,
    applicationName,
    place,
    pool,
    client,
  }) => {
    const ingest = client.query(from('copy entry from stdin'))
    await new Promise((resolve) => ingest.write(`${applicationName}\n`, resolve))
    proxy.swallow({ links: proxy.links, direction: 'to-server' })
    const copied = rejection(pipeline(Readable.from(['more\n']), ingest))
    await until(() => ingest.writableEnded)
    await happen(place)
    expect(await copied).toEqual(lostError(code, { commitOutcome: 'unknown' }))
    client.release()
    await allIsWell(pool, place)
  })

  test('Holdfast: a copy stream that is used after the loss rejects then, not with a crash before', async ({
    cluster,
    applicationName,
    place,
    pool,
  }) => {
    const uses = [
      (client: pg.PoolClient) => {
        const stream = client.query(to(`copy (${STALLS_AFTER_TWO}) to stdout`))
        return () => readAll(stream)
      },
      (client: pg.PoolClient) => {
        const stream = client.query(from('copy entry from stdin'))
        return () => pipeline(Readable.from(['late\n']), stream)
      },
    ]
    for (const start of uses) {
      const client = await pool.connect()
      const use = start(client)
      await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) === 1)
      await happen(place)
      expect(await rejection(use())).toEqual(lostError(code))
      client.release()
      await allIsWell(pool, place)
    }
  })
})

describe('the network swallows everything, and there is a query_timeout', () => {
  const QUERY_TIMEOUT_MILLIS = 500
  const LOST = { code: '08006', cause: expect.objectContaining({ message: 'Query read timeout' }) }
  const timedTest = test.extend(
    'options',
    ({ proxied }): PoolOptions => ({
      ...proxied,
      max: 1,
      query_timeout: QUERY_TIMEOUT_MILLIS,
    }),
  )

  timedTest(
    'Holdfast: a read beyond query_timeout rejects, however long the pause between two reads is',
    async ({ cluster, proxy, place, pool, client }) => {
      const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
      await cursor.read(2)
      await cluster.query('select pg_sleep($1)', [(2 * QUERY_TIMEOUT_MILLIS) / 1000]) // A pause between two reads.
      expect(await settles(cursor.read(2), 'read()')).toHaveLength(2)
      proxy.swallow({ links: proxy.links })
      expect(await rejection(cursor.read(2))).toEqual(lostError('08006', LOST))
      await settles(cursor.close(), 'close()')
      client.release()
      await allIsWell(pool, place)
    },
  )

  timedTest('Holdfast: close() of a silent cursor settles', async ({ proxy, place, pool, client }) => {
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(2)
    proxy.swallow({ links: proxy.links })
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, place)
  })

  timedTest('Holdfast: a query stream ends with query_timeout', async ({ proxy, place, pool, client }) => {
    const stream = client.query(new QueryStream('select generate_series(1, 1000)', [], { batchSize: 10 }))
    const rows: unknown[] = []
    const read = rejection(
      readAll(stream, rows, () => {
        if (rows.length === 30) proxy.swallow({ links: proxy.links })
      }),
    )
    expect(await read).toEqual(lostError('08006', LOST))
    client.release()
    await allIsWell(pool, place)
  })

  timedTest('Holdfast: a read copy stream ends with query_timeout', async ({ proxy, place, pool, client }) => {
    const stream = client.query(to("copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout"))
    const { links } = proxy
    const chunks: unknown[] = []
    const read = rejection(
      readAll(stream, chunks, () => {
        if (chunks.length === 2) proxy.swallow({ links })
      }),
    )
    expect(await read).toEqual(lostError('08006', LOST))
    client.release()
    proxy.cut('rst', { links }) // The server hasn't noticed, since all that it sent was accepted.
    await allIsWell(pool, place)
  })

  timedTest(
    'Holdfast: a written copy stream ends with query_timeout',
    async ({ proxy, applicationName, place, pool, client }) => {
      const ingest = client.query(from('copy entry from stdin'))
      await new Promise((resolve) => ingest.write(`${applicationName}\n`, resolve))
      proxy.swallow({ links: proxy.links })
      expect(await rejection(pipeline(Readable.from(['more\n']), ingest))).toEqual(lostError('08006', LOST))
      client.release()
      await allIsWell(pool, place)
    },
  )
})

describe('the client of a stream that died is never released', () => {
  test('Holdfast: a lost stream frees its slot without a release of its client', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    client.query(new QueryStream(STALLS_AFTER_TWO)).on('error', () => {})
    const waiter = pool.query('select 1 as one')
    await cluster.terminateBackends({ applicationName: direct.application_name })
    expect((await settles(waiter, 'the waiter')).rows).toEqual([{ one: 1 }])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a query object with a callback is run on a client whose connection is already lost', () => {
  test('stock pg.Pool: a query object on a lost connection calls back', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await gone(client)
    expect(await calledBack((done) => void runObject(client, done))).toBeInstanceOf(Error)
  })

  test('Holdfast: a query object on a lost connection calls back with the loss', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await gone(client)
    expect(await calledBack((done) => void runObject(client, done))).toBeInstanceOf(ConnectionLostError)
    client.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

function runObject(client: pg.PoolClient, done: (error?: Error | null) => void): unknown {
  const query = client.query as unknown as (query: pg.Query, callback: typeof done) => unknown
  return query.call(client, new pg.Query('select 1'), done)
}

async function readAll(stream: Readable, into: unknown[] = [], seen: () => void = () => {}): Promise<void> {
  for await (const item of stream) {
    into.push(item)
    seen()
  }
}

/** Accepts and counts everything. */
function sinkhole(): Writable & { count: number } {
  const sink = new Writable({
    objectMode: true,
    write(_chunk, _encoding, done) {
      ;(sink as Writable & { count: number }).count++
      done()
    },
  })
  return Object.assign(sink, { count: 0 })
}
