import type { EventEmitter } from 'node:events'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { settles } from './support/settling.ts'

type Holder = EventEmitter & { readonly connection: EventEmitter & { readonly stream: EventEmitter } }

/** How callers tidy up before they release. */
const WAYS: readonly { readonly how: string; readonly tidy: (client: Holder) => void }[] = [
  { how: 'client.removeAllListeners()', tidy: (client) => client.removeAllListeners() },
  { how: "client.removeAllListeners('error')", tidy: (client) => client.removeAllListeners('error') },
  {
    how: 'off() for each of listeners()',
    tidy: (client) => {
      for (const event of ['error', 'end'])
        for (const listener of client.listeners(event)) client.off(event, listener as () => void)
    },
  },
  { how: 'client.connection.removeAllListeners()', tidy: ({ connection }) => connection.removeAllListeners() },
  {
    how: "client.connection.removeAllListeners(), the driver's events by name",
    tidy: ({ connection }) => {
      for (const event of ['error', 'end', 'errorMessage', 'parameterStatus', 'readyForQuery'])
        connection.removeAllListeners(event)
    },
  },
  {
    how: 'client.connection.removeListener() for each of rawListeners()',
    tidy: ({ connection }) => {
      for (const event of connection.eventNames())
        for (const listener of connection.rawListeners(event)) connection.removeListener(event, listener as () => void)
    },
  },
  {
    how: "client.connection.stream.removeAllListeners('error')",
    tidy: ({ connection }) => connection.stream.removeAllListeners('error'),
  },
]

/** What the pool must go on hearing of a client. */
function countListeners({ connection }: Holder): Record<string, number> {
  const named = ['error', 'end', 'errorMessage', 'parameterStatus', 'readyForQuery', 'dataRow']
  return Object.fromEntries(named.map((event) => [event, connection.listenerCount(event)]))
}

describe('all listeners are removed before a release', () => {
  test('stock pg.Pool: the pool listens again at each release, and survives the death of the idle connection', async ({
    cluster,
    direct,
  }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    client.removeAllListeners()
    client.release()
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(() => pool.totalCount === 0)
  })

  test.for(WAYS)('Holdfast: $how leaves what the pool listens with', async ({ tidy }, { cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const holder = client as unknown as Holder
    const before = countListeners(holder)
    tidy(holder)
    expect(countListeners(holder)).toEqual(before)
    expect((await settles(client.query('select 1 as one'), 'a statement afterwards')).rows).toEqual([{ one: 1 }])
    client.release()
    // Without a listener an `error` would end this process.
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(() => pool.totalCount === 0)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test.for(WAYS)(
    'Holdfast: $how does not hide the death of the leased connection',
    async ({ tidy }, { cluster, proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, max: 1 })
      const client = await pool.connect()
      tidy(client as unknown as Holder)
      proxy.cut('rst')
      await until(() => pool.totalCount === 0)
      client.release()
      await expectHealthy(pool, cluster, proxied.application_name)
    },
  )

  test('Holdfast: the listeners of the lease itself are removed with all others', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const { connection } = client
    const listeners = (): number =>
      client.listenerCount('notice') + client.listenerCount('error') + connection.listenerCount('notice')
    const before = listeners()
    client.on('notice', () => {}).on('error', () => {})
    connection.on('notice', () => {})
    expect(listeners()).toBe(before + 3)
    client.removeAllListeners()
    connection.removeAllListeners()
    expect(listeners()).toBe(before)
    client.release()
  })

  test('Holdfast: over 100 leases no listeners pile up', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const counts = new Set<string>()
    for (let time = 1; time <= 100; time++) {
      const client = await pool.connect()
      await client.query('select 1')
      const { connection } = client as unknown as Holder
      client.removeAllListeners()
      connection.removeAllListeners()
      const names = connection.eventNames()
      counts.add(names.map((name) => `${String(name)} ${connection.listenerCount(name)}`).join())
      client.release()
    }
    expect(counts.size).toBe(1)
  })
})
