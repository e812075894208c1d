import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from, to } from 'pg-copy-streams'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'
import { collect, told, withClient } from './support/observing.ts'

const ROWS = 20_000

/** A client with a table of its own. */
async function withTable(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  await withClient(pool, async (client) => {
    await client.query('create temp table item (id int primary key, name text)')
    await work(client)
    await client.query('drop table item')
  })
}

function* lines(count: number): Generator<string> {
  for (let id = 1; id <= count; id++) yield `${id}\tname of ${id}\n`
}

/** pg-copy-streams, as its documentation has it. */
describe.each(LIBRARIES)('$library: a copy stream', ({ open }) => {
  test('a copy stream takes rows in, and finishes when they are there', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withTable(pool, async (client) => {
      const ingest = from('copy item from stdin')
      expect(client.query(ingest)).toBe(ingest)
      await settles(pipeline(Readable.from(lines(ROWS)), ingest), 'the pipeline')
      expect(ingest.rowCount).toBe(ROWS)
      expect((await client.query('select count(*)::int as count from item')).rows).toEqual([{ count: ROWS }])
    })
    expect(pool.totalCount).toBe(1)
  })

  test('a copy stream gives rows out', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withTable(pool, async (client) => {
      await client.query("insert into item select n, 'name of ' || n from generate_series(1, $1::int) as n", [ROWS])
      const stream = client.query(to('copy (select * from item order by id) to stdout'))
      const text = Buffer.concat(await collect<Buffer>(stream)).toString()
      expect(text).toBe([...lines(ROWS)].join(''))
      expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
      expect(stream.rowCount).toBe(ROWS)
    })
    expect(pool.totalCount).toBe(1)
  })

  test('a copy stream goes from one client to another', async ({ direct }) => {
    await using pool = open({ ...direct, max: 2 })
    await withTable(pool, async (source) => {
      await source.query("insert into item select n, 'x' from generate_series(1, $1::int) as n", [ROWS])
      await withTable(pool, async (target) => {
        const copied = pipeline(
          source.query(to('copy item to stdout (format binary)')),
          target.query(from('copy item from stdin (format binary)')),
        )
        await settles(copied, 'the copy')
        expect((await target.query('select count(*)::int as count from item')).rows).toEqual([{ count: ROWS }])
      })
    })
  })

  test('a copy stream waits for a slow reader', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withClient(pool, async (client) => {
      let bytes = 0
      const slow = new Writable({
        highWaterMark: 1024,
        write(chunk, _, done) {
          bytes += chunk.length
          setImmediate(done)
        },
      })
      const stream = client.query(to(`copy (select repeat('x', 99) from generate_series(1, ${ROWS})) to stdout`))
      await settles(pipeline(stream, slow), 'the pipeline')
      expect(bytes).toBe(100 * ROWS)
    })
  })

  test('a copy stream that receives an invalid row rejects with it, and the client stays', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withTable(pool, async (client) => {
      const ingest = client.query(from('copy item from stdin'))
      const failed = told(ingest, 'error')
      ingest.end('no number\tname\n')
      expect(await failed).toMatchObject([{ code: '22P02' }])
      expect((await settles(client.query('select count(*)::int as count from item'), 'the next one')).rows).toEqual([
        { count: 0 },
      ])
    })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('a copy stream of a missing table rejects with the reason, in both directions', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    for (const make of [() => to('copy nowhere to stdout'), () => from('copy nowhere from stdin')]) {
      await withClient(pool, async (client) => {
        const stream = client.query(make())
        const failed = told(stream, 'error')
        if (stream instanceof Readable) stream.resume()
        expect(await failed).toMatchObject([{ code: '42P01' }])
        expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
      })
    }
    expect(pool.totalCount).toBe(1)
  })

  test('a copy stream whose source fails writes nothing', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    await withTable(pool, async (client) => {
      const source = Readable.from(
        (function* () {
          yield* lines(10)
          throw new Error('of the source')
        })(),
      )
      const failed = rejection(pipeline(source, client.query(from('copy item from stdin'))))
      expect(await failed).toMatchObject({ message: 'of the source' })
      expect((await settles(client.query('select count(*)::int as count from item'), 'the next one')).rows).toEqual([
        { count: 0 },
      ])
    })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })
})
