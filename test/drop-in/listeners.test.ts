import type { EventEmitter } from 'node:events'
import { physicalClient } from '@holdfast/core'
import type pg from 'pg'
import { from, to } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'
import { LIBRARIES } from './support/libraries.ts'
import { collect } from './support/observing.ts'

type Work = (client: pg.PoolClient) => Promise<unknown>

const WORKS: readonly { readonly what: string; readonly work: Work }[] = [
  { what: 'nothing', work: async () => {} },
  { what: 'a statement', work: (client) => client.query('select $1::int', [1]) },
  { what: 'a failing statement', work: (client) => rejection(client.query('select nonsense')) },
  { what: 'a failing transaction', work: (client) => rejection(client.query('begin; select 1 / 0')) },
  { what: 'an open transaction', work: (client) => client.query('begin') },
  { what: 'a statement that nobody awaits', work: async (client) => void client.query('select pg_sleep(0.001)') },
  {
    what: 'a cursor',
    async work(client) {
      const cursor = client.query(new Cursor('select generate_series(1, 5)'))
      await cursor.read(2)
      await cursor.close()
    },
  },
  { what: 'a failing cursor', work: (client) => rejection(client.query(new Cursor('select nonsense')).read(1)) },
  { what: 'a stream', work: (client) => collect(client.query(new QueryStream('select generate_series(1, 300)'))) },
  { what: 'a failing stream', work: (client) => rejection(collect(client.query(new QueryStream('select 1 / 0')))) },
  { what: 'a copy out', work: (client) => collect(client.query(to('copy (select 1) to stdout'))) },
  {
    what: 'a copy in',
    async work(client) {
      await client.query('create temp table if not exists item (id int)')
      const ingest = client.query(from('copy item from stdin'))
      await new Promise((resolve) => ingest.on('finish', resolve).end('1\n'))
    },
  },
]

/** How many listeners each of them has, by the name of the event. */
function countListeners(emitters: readonly EventEmitter[]): Record<string, number>[] {
  return emitters.map((emitter) =>
    Object.fromEntries(
      emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)] as [string, number]),
    ),
  )
}

describe.each(LIBRARIES)('$library: listeners', ({ open }) => {
  test.for(WORKS)('listeners do not pile up over 100 leases with $what', async ({ work }, { direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const lease = async (): Promise<pg.PoolClient> => {
      const client = await settles(pool.connect(), 'the client')
      await work(client)
      await client.query('rollback').catch(() => {})
      client.release()
      return client
    }
    const client = await lease()
    const emitters = [client, client.connection, client.connection.stream, pool]
    // Until its statements are prepared, which takes listeners of its own.
    for (let time = 1; time <= 7; time++) await lease()
    await until(() => pool.idleCount === 1)
    const before = countListeners(emitters)
    for (let time = 1; time <= 100; time++) expect(physicalClient(await lease())).toBe(physicalClient(client))
    await until(() => pool.idleCount === 1)
    expect(countListeners(emitters)).toEqual(before)
  })

  test('listeners do not pile up over 100 calls of pool.query', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    client.release()
    const emitters = [client, client.connection, client.connection.stream, pool]
    // Until it is prepared, which takes listeners of its own.
    for (let time = 1; time <= 7; time++) await pool.query('select $1::int', [time])
    const before = countListeners(emitters)
    for (let time = 1; time <= 100; time++) await pool.query('select $1::int', [time])
    expect(countListeners(emitters)).toEqual(before)
  })
})
