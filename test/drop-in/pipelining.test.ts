import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'
import { withClient } from './support/observing.ts'

/** https://node-postgres.com/features/pipelining */
describe.each(LIBRARIES)('$library: pipeline: true', ({ open }) => {
  test('a client knows that it has a pipeline', async ({ direct }) => {
    await using pool = open({ ...direct, pipeline: true })
    await withClient(pool, async (client) => expect(client).toHaveProperty('pipeline', true))
    await using plain = open(direct)
    await withClient(plain, async (client) => expect(client).toHaveProperty('pipeline', false))
  })

  test('a pipeline answers everything, in order, in every form', async ({ direct }) => {
    await using pool = open({ ...direct, pipeline: true, max: 1 })
    await withClient(pool, async (client) => {
      const results = await Promise.all([
        client.query('select 1 as num'),
        client.query('select $1::int as num', [2]),
        client.query({ name: 'third', text: 'select $1::int as num', values: [3] }),
        client.query({ name: 'third', text: 'select $1::int as num', values: [4] }),
        client.query({ text: 'select 5', rowMode: 'array' }),
      ])
      expect(results.map(({ rows }) => rows)).toEqual([[{ num: 1 }], [{ num: 2 }], [{ num: 3 }], [{ num: 4 }], [[5]]])
    })
  })

  test('a pipeline does not wait for one answer before it sends the next statement', async ({ proxy, proxied }) => {
    await using pool = open({ ...proxied, pipeline: true, max: 1 })
    await withClient(pool, async (client) => {
      const order: string[] = []
      proxy.links[0]?.delay(Number.POSITIVE_INFINITY)
      const statements = [1, 2, 3].map((number) =>
        client.query('select $1::int as it', [number]).then(() => order.push(`${number} answered`)),
      )
      order.push('all sent')
      await proxy.heal()
      await settles(Promise.all(statements), 'the statements')
      expect(order).toEqual(['all sent', '1 answered', '2 answered', '3 answered'])
    })
  })

  test('a pipeline parses a named statement once', async ({ direct }) => {
    await using pool = open({ ...direct, pipeline: true, max: 1 })
    await withClient(pool, async (client) => {
      const named = { name: 'get-user', text: 'select $1::int as id' }
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, id) => client.query({ ...named, values: [id] })),
      )
      expect(results.map(({ rows }) => rows[0].id)).toEqual(Array.from({ length: 100 }, (_, id) => id))
      const { rows } = await client.query('select generic_plans + custom_plans as runs from pg_prepared_statements')
      expect(rows).toEqual([{ runs: '100' }])
    })
  })

  test('a pipeline isolates errors', async ({ direct }) => {
    await using pool = open({ ...direct, pipeline: true, max: 1 })
    await withClient(pool, async (client) => {
      const results = await settles(
        Promise.allSettled([
          client.query('select 1 as num'),
          client.query('select invalid syntax'),
          client.query('select $1::int as num', ['no number']),
          client.query('select 3 as num'),
        ]),
        'the statements',
      )
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
    })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('a pipeline makes no difference to pool.query', async ({ direct }) => {
    await using pool = open({ ...direct, pipeline: true, max: 3 })
    const results = await Promise.all([1, 2, 3, 4, 5].map((it) => pool.query('select $1::int as it', [it])))
    expect(results.map(({ rows }) => rows[0].it)).toEqual([1, 2, 3, 4, 5])
  })

  test('a pipeline refuses a cursor, and harms no other statement', async ({ direct }) => {
    await using pool = open({ ...direct, pipeline: true, max: 1 })
    await withClient(pool, async (client) => {
      const cursor = client.query(new Cursor('select 1'))
      expect(await rejection(cursor.read(1))).toMatchObject({
        message: expect.stringContaining('not supported in pipeline mode'),
      })
      await settles(cursor.close(), 'close()')
      expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })

  test('a pipeline sees a transaction through', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, pipeline: true, max: 1 })
    const id = direct.application_name
    await withClient(pool, async (client) => {
      await Promise.all([
        client.query('begin'),
        client.query('insert into entry values ($1)', [id]),
        client.query('commit'),
      ])
    })
    expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
  })
})
