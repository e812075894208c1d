import { once } from 'node:events'
import { physicalClient } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect, vi } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast, StockPool } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

const LIBRARIES = [
  { library: 'pg.Pool', open: (config: pg.PoolConfig) => new StockPool(config) },
  { library: 'Holdfast', open: (config: pg.PoolConfig) => holdfast(config as object) },
]

type Told = [event: string, ...rest: unknown[]]

/** What a pool emits, in order. */
function transcript(pool: pg.Pool): Told[] {
  const told: Told[] = []
  pool.on('connect', (client) => told.push(['connect', client]))
  pool.on('acquire', (client) => told.push(['acquire', client]))
  pool.on('release', (error, client) => told.push(['release', error, client]))
  pool.on('remove', (client) => told.push(['remove', client]))
  return told
}

describe.each(LIBRARIES)('$library: events', ({ open }) => {
  test('events follow the life of a client', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const told = transcript(pool)
    const lent = await pool.connect()
    const client = physicalClient(lent)
    expect(told).toEqual([
      ['connect', client],
      ['acquire', client],
    ])
    lent.release()
    expect(told.splice(0)).toEqual([
      ['connect', client],
      ['acquire', client],
      ['release', undefined, client],
    ])
    const again = await pool.connect()
    expect(physicalClient(again)).toBe(client)
    const spoilt = new Error('spoilt')
    again.release(spoilt)
    await until(() => told.length === 3)
    expect(told).toEqual([
      ['acquire', client],
      ['release', spoilt, client],
      ['remove', client],
    ])
  })

  test('events are the same for pool.query', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const told = transcript(pool)
    await pool.query('select 1')
    expect(told.map(([event]) => event)).toEqual(['connect', 'acquire', 'release'])
    await pool.end()
    await until(() => told.length === 4)
    expect(told[3]?.[0]).toBe('remove')
  })

  test('events report an idle client that died, with the client', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    client.release()
    const told = once(pool, 'error')
    await cluster.terminateBackends({ applicationName: direct.application_name })
    const [error, dead] = await settles(told, 'the event')
    expect(error).toMatchObject({ code: '57P01' })
    expect(dead).toBe(physicalClient(client))
  })
})

describe.each(LIBRARIES)('$library: onConnect', ({ open }) => {
  test('onConnect is awaited before the client is leased, once per connection', async ({ direct }) => {
    let calls = 0
    const onConnect = async (client: pg.ClientBase): Promise<void> => {
      calls++
      await client.query("set search_path = 'of_the_hook'")
    }
    await using pool = open({ ...direct, max: 1, onConnect } as object)
    for (let time = 1; time <= 2; time++)
      expect((await pool.query('show search_path')).rows).toEqual([{ search_path: 'of_the_hook' }])
    expect(calls).toBe(1)
  })

  test.for([{ kind: 'throws' }, { kind: 'rejects' }])(
    'an onConnect that $kind closes the connection, and its error reaches the caller',
    async ({ kind }, { cluster, direct }) => {
      const failure = new Error('of the hook')
      const onConnect = (): Promise<void> => {
        if (kind === 'throws') throw failure
        return Promise.reject(failure)
      }
      await using pool = open({ ...direct, max: 1, onConnect } as object)
      expect(await rejection(pool.connect())).toBe(failure)
      expect((await rejection(pool.query('select 1'))).message).toBe(failure.message)
      await until(() => pool.totalCount === 0)
      await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
    },
  )
})

describe.each(LIBRARIES)('$library: verify', ({ open }) => {
  test('verify decides about each new client', async ({ direct }) => {
    const failure = new Error('not this one')
    const verdicts = [failure, undefined]
    const verify = (_: pg.PoolClient, done: (error?: Error) => void): void => done(verdicts.shift())
    await using pool = open({ ...direct, max: 1, verify } as pg.PoolConfig)
    expect(await rejection(pool.connect())).toBe(failure)
    const client = await pool.connect()
    client.release()
    expect(pool.idleCount).toBe(1)
  })
})

describe('Holdfast: listeners', () => {
  test('listeners of `connect` that send a statement without awaiting it run before the lease', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    pool.on('connect', (client) => {
      client.query("set search_path = 'of_the_listener'").catch(() => {})
    })
    expect((await pool.query('show search_path')).rows).toEqual([{ search_path: 'of_the_listener' }])
  })

  test.for(['connect', 'acquire', 'release', 'remove'] as const)(
    'listeners of `%s` that throw cost a warning, and no slot',
    async (event, { direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      pool.on(event as 'connect', () => {
        throw new Error(`of the listener of ${event}`)
      })
      using warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
      for (let time = 1; time <= 3; time++) {
        const client = await settles(pool.connect(), 'the client')
        await client.query('select 1')
        client.release(true)
      }
      await until(() => pool.totalCount === 0)
      await until(() => warn.mock.calls.length === 3)
      for (const [message, details] of warn.mock.calls) {
        expect(message).toContain(`of the listener of ${event}`)
        expect(details).toMatchObject({ code: 'HOLDFAST_LISTENER_THREW' })
      }
    },
  )

  test('no listener is left behind on a client that is leased often', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const counts = new Set<string>()
    for (let time = 1; time <= 30; time++) {
      const client = await pool.connect()
      await client.query('select 1')
      const { connection } = client
      const names = [...client.eventNames(), ...connection.eventNames(), ...connection.stream.eventNames()]
      const listeners = (emitter: NodeJS.EventEmitter): number =>
        names.reduce((sum, name) => sum + emitter.listenerCount(name), 0)
      counts.add([client as never, connection, connection.stream].map(listeners).join())
      client.release()
    }
    expect(counts.size).toBe(1)
  })
})
