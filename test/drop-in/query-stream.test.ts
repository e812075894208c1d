import { Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'
import { collect, told, withClient } from './support/observing.ts'

const NUMBERS = 'select n from generate_series(1, $1::int) as n'

/** pg-query-stream, as its documentation has it. */
describe.each(LIBRARIES)('$library: a query stream', ({ open }) => {
  test('a query stream is read with for await, in any batch size', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    for (const batchSize of [1, 7, 100, 5000]) {
      await withClient(pool, async (client) => {
        const stream = new QueryStream(NUMBERS, [500], { batchSize })
        expect(client.query(stream)).toBe(stream)
        expect((await collect<{ n: number }>(stream)).map(({ n }) => n)).toEqual(
          Array.from({ length: 500 }, (_, n) => n + 1),
        )
      })
    }
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('a query stream can be piped', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      let text = ''
      const stringify = new Transform({
        writableObjectMode: true,
        transform: (row, _, done) => done(null, `${JSON.stringify(row)}\n`),
      })
      const sink = new Writable({
        write(chunk, _, done) {
          text += chunk
          setImmediate(done)
        },
      })
      await settles(pipeline(client.query(new QueryStream(NUMBERS, [250])), stringify, sink), 'the pipeline')
      expect(text.trimEnd().split('\n')).toHaveLength(250)
    })
  })

  test('a query stream takes a row mode and types, and those of the client', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const types = { getTypeParser: () => (value: unknown) => `${value}!` }
      const shouting = client.query(new QueryStream('select 1 as a, 2 as a', [], { rowMode: 'array', types }))
      expect(await collect(shouting)).toEqual([['1!', '2!']])
      client.setTypeParser(pg.types.builtins.INT8, BigInt)
      expect(await collect(client.query(new QueryStream('select 1::int8 as big')))).toEqual([{ big: 1n }])
    })
  })

  test('a query stream that is left early makes way for the next statement', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const stream = client.query(new QueryStream(NUMBERS, [100_000], { batchSize: 10 }))
      const closed = told(stream, 'close')
      for await (const { n } of stream) if (n === 25) break
      await closed
      expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    })
    expect([pool.idleCount, pool.totalCount]).toEqual([1, 1])
  })

  test('a query stream that is destroyed gives the reason, and lets the next statement run', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const stream = client.query(new QueryStream(NUMBERS, [100_000]))
      await told(stream, 'readable')
      const failed = told(stream, 'error')
      stream.destroy(new Error('enough'))
      expect(await failed).toEqual([new Error('enough')])
      expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    })
  })

  test('a query stream that fails, at once or half-way, rejects its reader; the client stays', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      const wrong = client.query(new QueryStream('select nonsense'))
      expect(await rejection(collect(wrong))).toMatchObject({ code: '42703' })
      const halfWay = client.query(new QueryStream('select 1 / (300 - n) from generate_series(1, 500) as n'))
      expect(await rejection(collect(halfWay))).toMatchObject({ code: '22012' })
      expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('a query stream releases its client at its end, as the documentation shows', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    for (let time = 1; time <= 3; time++) {
      const client = await settles(pool.connect(), 'the client')
      const stream = client.query(new QueryStream(NUMBERS, [200]))
      stream.on('end', client.release)
      stream.resume()
      await told(stream, 'end')
    }
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('a query stream waits for a slow reader', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const stream = client.query(new QueryStream(NUMBERS, [60], { batchSize: 5 }))
      let count = 0
      for await (const _ of stream) {
        count++
        if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      expect(count).toBe(60)
    })
  })
})
