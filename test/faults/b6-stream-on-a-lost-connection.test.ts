import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ConnectionLostError } from '@holdfast/core'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { allIsWell, LOSSES } from './support/losses.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

/** The first two rows come at once, the third never. */
const STALLS_AFTER_TWO = "select n, case when n > 2 then pg_sleep('infinity') end from generate_series(1, 5) as n"

/** What everyone who waits for a stream must be told. */
function told(code: unknown, facts: object = {}): object {
  return expect.objectContaining({ name: 'ConnectionLostError', code, sent: true, cause: expect.any(Error), ...facts })
}

/** Resolves when the driver has noticed the end of a client's connection, and told whoever it tells. */
async function gone(client: pg.PoolClient): Promise<void> {
  const { stream } = client.connection
  await until(() => stream.closed)
  // The driver tells in the next tick, a cursor in the next turn.
  for (let turn = 1; turn <= 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A promise of what a callback is given first: an error, or nothing. */
function calledBack(start: (callback: (error?: Error | null) => void) => void): Promise<Error | null | undefined> {
  return settles(new Promise((resolve) => start((error) => resolve(error))), 'the callback')
}

describe.each(LOSSES)('a cursor is open, and $loss', ({ code, happen }) => {
  test('stock pg.Pool: close() never settles', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = new StockPool({ ...proxied, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor(STALLS_AFTER_TWO))
    await cursor.read(2)
    const read = rejection(cursor.read(1))
    await happen({ cluster, proxy, applicationName })
    await read
    const closed = cursor.close()
    await gone(client)
    expect(await isPending(closed)).toBe(true)
  })

  test('Holdfast: a read that waits is told, and so is each later one; close() settles', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor(STALLS_AFTER_TWO))
    await cursor.read(2)
    const read = rejection(cursor.read(1))
    await happen({ cluster, proxy, applicationName })
    expect(await read).toEqual(told(code))
    expect(await rejection(cursor.read(1))).toEqual(told(code))
    await settles(cursor.close(), 'close()')
    await settles(cursor.close(), 'the second close()')
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: callbacks are called', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor(STALLS_AFTER_TWO))
    await cursor.read(2)
    const read = calledBack((done) => cursor.read(1, done))
    await happen({ cluster, proxy, applicationName })
    expect(await read).toEqual(told(code))
    expect(await calledBack((done) => cursor.close(done as () => void))).toBeFalsy()
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: who reads later is told then; the slot is free before', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(2)
    await happen({ cluster, proxy, applicationName })
    await gone(client)
    await allIsWell(pool, { cluster, proxy, applicationName })
    expect(await rejection(cursor.read(1))).toEqual(told(code))
    await settles(cursor.close(), 'close()')
    client.release()
  })

  test('Holdfast: a close that waits settles', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(2)
    // The server never hears of it.
    proxy.swallow({ links: proxy.links, direction: 'to-server' })
    const closed = cursor.close()
    expect(await isPending(closed)).toBe(true)
    await happen({ cluster, proxy, applicationName })
    await settles(closed, 'close()')
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: the last read is told, too, when all rows are there but not the last word', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
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
    await happen({ cluster, proxy, applicationName })
    expect(await rejection(read)).toEqual(told(code))
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: one that waits for its turn was never sent', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const running = rejection(client.query("select pg_sleep('infinity')"))
    const cursor = client.query(new Cursor('select 1'))
    const read = rejection(cursor.read(1))
    await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) === 1)
    await happen({ cluster, proxy, applicationName })
    await running
    expect(await read).toEqual(told(code, { sent: false }))
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: one that is opened afterwards is told at once', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    await happen({ cluster, proxy, applicationName })
    await gone(client)
    const cursor = client.query(new Cursor('select 1'))
    expect(await rejection(cursor.read(1))).toEqual(told(code, { sent: false }))
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })
})

describe.each(LOSSES)('a query stream is open, and $loss', ({ code, happen }) => {
  test('stock pg.Pool: its reader waits for ever', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = new StockPool({ ...proxied, max: 1 })
    const client = await pool.connect()
    const stream = client.query(new QueryStream(STALLS_AFTER_TWO, [], { batchSize: 1 }))
    const rows: unknown[] = []
    const read = unattended(readAll(stream, rows))
    await until(() => rows.length === 2)
    await happen({ cluster, proxy, applicationName })
    await gone(client)
    expect(await isPending(read)).toBe(true)
  })

  test('Holdfast: for await ends with the error, and the slot comes back', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const stream = client.query(new QueryStream(STALLS_AFTER_TWO, [], { batchSize: 1 }))
    const rows: unknown[] = []
    const read = rejection(readAll(stream, rows).finally(() => client.release()))
    await until(() => rows.length === 2)
    await happen({ cluster, proxy, applicationName })
    expect(await read).toEqual(told(code))
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: a pipe ends with the error', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const stream = client.query(new QueryStream(STALLS_AFTER_TWO, [], { batchSize: 1 }))
    const sink = sinkhole()
    const piped = rejection(pipeline(stream, sink))
    await until(() => sink.count === 2)
    await happen({ cluster, proxy, applicationName })
    expect(await piped).toEqual(told(code))
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: one that is destroyed, and waits for the server, closes', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const stream = client.query(new QueryStream('select generate_series(1, 1000)'))
    await new Promise((resolve) => stream.once('readable', resolve))
    proxy.swallow({ links: proxy.links, direction: 'to-server' })
    stream.destroy()
    expect(stream.closed).toBe(false)
    await happen({ cluster, proxy, applicationName })
    await until(() => stream.closed, { what: 'the stream to close' })
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: who begins to read later is told then, and nobody crashes meanwhile', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const stream = client.query(new QueryStream('select generate_series(1, 1000)'))
    await happen({ cluster, proxy, applicationName })
    await gone(client)
    await allIsWell(pool, { cluster, proxy, applicationName })
    expect(await rejection(readAll(stream))).toEqual(told(code))
    client.release()
  })
})

describe.each(LOSSES)('a copy stream is open, and $loss', ({ code, happen }) => {
  test('Holdfast: who reads from it is told, and the slot comes back', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const stream = client.query(to(`copy (${STALLS_AFTER_TWO}) to stdout`))
    const read = rejection(readAll(stream).finally(() => client.release()))
    await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) === 1)
    await happen({ cluster, proxy, applicationName })
    expect(await read).toEqual(told(code))
    await until(() => stream.closed, { what: 'the stream to close' })
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: who writes into it is told, and nothing is written', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
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
    await happen({ cluster, proxy, applicationName })
    // The write that meets the closed socket may be told before the reason is read.
    expect(await copied).toEqual(told(expect.stringMatching(`^(${code}|EPIPE|ECONNRESET)$`)))
    await until(() => ingest.closed, { what: 'the stream to close' })
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
    expect(await cluster.query('select from entry where id like $1', [`${applicationName} %`])).toEqual([])
  })

  test('Holdfast: who has written everything, and waits for the answer, is told', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const ingest = client.query(from('copy entry from stdin'))
    await new Promise((resolve) => ingest.write(`${applicationName}\n`, resolve))
    proxy.swallow({ links: proxy.links, direction: 'to-server' })
    const copied = rejection(pipeline(Readable.from(['more\n']), ingest))
    await until(() => ingest.writableEnded)
    await happen({ cluster, proxy, applicationName })
    expect(await copied).toEqual(told(code, { commitOutcome: 'unknown' }))
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: who begins to use it later is told then, and nobody crashes meanwhile', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
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
      await happen({ cluster, proxy, applicationName })
      expect(await rejection(use())).toEqual(told(code))
      client.release()
      await allIsWell(pool, { cluster, proxy, applicationName })
    }
  })
})

describe('the network swallows everything, and there is a query_timeout', () => {
  const QUERY_TIMEOUT_MILLIS = 500
  const LOST = { code: '08006', cause: expect.objectContaining({ message: 'Query read timeout' }) }

  test('Holdfast: a cursor is told when a read takes longer, no matter how long its holder thinks', async ({
    cluster,
    proxy,
    proxied,
    applicationName,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const client = await pool.connect()
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(2)
    await cluster.query('select pg_sleep($1)', [(2 * QUERY_TIMEOUT_MILLIS) / 1000]) // He thinks.
    expect(await settles(cursor.read(2), 'read()')).toHaveLength(2)
    proxy.swallow({ links: proxy.links })
    expect(await rejection(cursor.read(2))).toEqual(told('08006', LOST))
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: close() settles', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const client = await pool.connect()
    const cursor = client.query(new Cursor('select generate_series(1, 1000)'))
    await cursor.read(2)
    proxy.swallow({ links: proxy.links })
    await settles(cursor.close(), 'close()')
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: the reader of a query stream is told', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const client = await pool.connect()
    const stream = client.query(new QueryStream('select generate_series(1, 1000)', [], { batchSize: 10 }))
    const rows: unknown[] = []
    const read = rejection(
      readAll(stream, rows, () => {
        if (rows.length === 30) proxy.swallow({ links: proxy.links })
      }),
    )
    expect(await read).toEqual(told('08006', LOST))
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: the reader of a copy stream is told', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const client = await pool.connect()
    const stream = client.query(to("copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout"))
    const { links } = proxy
    const chunks: unknown[] = []
    const read = rejection(
      readAll(stream, chunks, () => {
        if (chunks.length === 2) proxy.swallow({ links })
      }),
    )
    expect(await read).toEqual(told('08006', LOST))
    client.release()
    proxy.cut('rst', { links }) // The server has not noticed, for all that it sent was taken.
    await allIsWell(pool, { cluster, proxy, applicationName })
  })

  test('Holdfast: the writer into a copy stream is told', async ({ cluster, proxy, proxied, applicationName }) => {
    await using pool = holdfast({ ...proxied, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const client = await pool.connect()
    const ingest = client.query(from('copy entry from stdin'))
    await new Promise((resolve) => ingest.write(`${applicationName}\n`, resolve))
    proxy.swallow({ links: proxy.links })
    expect(await rejection(pipeline(Readable.from(['more\n']), ingest))).toEqual(told('08006', LOST))
    client.release()
    await allIsWell(pool, { cluster, proxy, applicationName })
  })
})

describe('nobody releases the client of a stream that died', () => {
  test('Holdfast: the slot comes back all the same', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    client.query(new QueryStream(STALLS_AFTER_TWO)).on('error', () => {})
    const waiter = pool.query('select 1 as one')
    await cluster.terminateBackends({ applicationName: direct.application_name })
    expect((await settles(waiter, 'the waiter')).rows).toEqual([{ one: 1 }])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a query object with a callback, on a client that is lost already', () => {
  test('stock pg.Pool: calls back', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await gone(client)
    expect(await calledBack((done) => void runObject(client, done))).toBeInstanceOf(Error)
  })

  test('Holdfast: calls back with the error', async ({ cluster, direct }) => {
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

/** Takes everything, and counts it. */
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
