import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { until } from '../support/index.ts'
import { LIBRARIES } from './support/libraries.ts'
import { told, withClient } from './support/observing.ts'

/** The events `notification` and `notice` of https://node-postgres.com/apis/client */
describe.each(LIBRARIES)('$library: notifications', ({ open }) => {
  test('notifications reach a leased client that listens, even while it does nothing', async ({ direct }) => {
    await using pool = open(direct)
    const listener = await pool.connect()
    await listener.query('listen news')
    const notified = told(listener, 'notification')
    const sender = (await pool.connect()) as pg.PoolClient & { readonly processID: number }
    await sender.query("notify news, 'bar!'")
    expect(await notified).toMatchObject([
      { channel: 'news', payload: 'bar!', processId: sender.processID, length: expect.any(Number) },
    ])
    sender.release()
    await listener.query('unlisten news')
    listener.release()
  })

  test('notifications come in order, and none is lost', async ({ direct }) => {
    await using pool = open({ ...direct, max: 2 })
    const payloads: unknown[] = []
    const listener = await pool.connect()
    listener.on('notification', ({ payload }) => payloads.push(payload))
    await listener.query('listen "Many News"')
    const sent = Array.from({ length: 100 }, (_, number) => String(number))
    for (const payload of sent) await pool.query("select pg_notify('Many News', $1)", [payload])
    await until(() => payloads.length === 100)
    expect(payloads).toEqual(sent)
    await listener.query('unlisten *')
    listener.release()
  })

  test('notifications sent by the listener itself arrive as well', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      await client.query('listen foo')
      const notified = told(client, 'notification')
      await client.query('notify foo')
      expect(await notified).toMatchObject([{ channel: 'foo', payload: '' }])
      await client.query('unlisten foo')
    })
  })

  test('notifications go on reaching the client after its release, as the session goes on', async ({ direct }) => {
    await using pool = open({ ...direct, max: 2 })
    const listener = await pool.connect()
    await listener.query('listen news')
    const sender = await pool.connect()
    listener.release()
    const notified = told(listener, 'notification')
    await sender.query("notify news, 'late'")
    expect(await notified).toMatchObject([{ payload: 'late' }])
    sender.release()
  })

  test('notices of the server come while a statement runs', async ({ direct }) => {
    await using pool = open(direct)
    await withClient(pool, async (client) => {
      const messages: unknown[] = []
      client.on('notice', ({ message, severity }) => messages.push([message, severity]))
      await client.query("do $$ begin for n in 1..3 loop raise notice 'step %', n; end loop; end $$")
      await client.query('drop table if exists no_such_table')
      await client.query("do $$ begin raise warning 'careful'; end $$")
      expect(messages).toEqual([
        ['step 1', 'NOTICE'],
        ['step 2', 'NOTICE'],
        ['step 3', 'NOTICE'],
        ['table "no_such_table" does not exist, skipping', 'NOTICE'],
        ['careful', 'WARNING'],
      ])
    })
  })
})
