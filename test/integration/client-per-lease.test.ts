import { once } from 'node:events'
import { inspect } from 'node:util'
import { physicalClient } from '@holdfast/core'
import pg from 'pg'
import pgPromise from 'pg-promise'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'

type Noted = pg.PoolClient & Record<string, unknown>

describe('the client of a lease', () => {
  test('the client of a lease is another one for each lease, in front of the same client', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const first = await pool.connect()
    first.release()
    const second = await pool.connect()
    expect(second).not.toBe(first)
    expect(physicalClient(second)).toBe(physicalClient(first))
    expect(physicalClient(physicalClient(second))).toBe(physicalClient(second))
    second.release()
  })

  test('the client of a lease is what pg leases, whatever is asked of it', async ({ direct }) => {
    class OwnClient extends pg.Client {}
    await using pool = holdfast({ ...direct, max: 1, Client: OwnClient })
    const client = await pool.connect()
    for (const base of [OwnClient, pg.Client]) expect(client).toBeInstanceOf(base)
    expect(Object.getPrototypeOf(client).constructor.name).toBe('LeasedClient')
    expect('processID' in client).toBe(true)
    expect(await Promise.resolve(client)).toBe(client)
    expect(inspect(client)).toBe(inspect(physicalClient(client)))
    expect(inspect(client)).not.toContain(direct.password)
    client.release()
  })

  test("the client of a lease has the methods of the user's class, with its private fields", async ({ direct }) => {
    class Tenants extends pg.Client {
      #tenant = 'nobody'
      async enter(tenant: string): Promise<this> {
        await this.query('select 1')
        this.#tenant = tenant
        return this
      }
      get tenant(): string {
        return this.#tenant
      }
    }
    await using pool = holdfast({ ...direct, max: 1, Client: Tenants })
    const client = (await pool.connect()) as unknown as Tenants & pg.PoolClient
    await client.enter('one')
    expect(client.tenant).toBe('one')
    client.release()
  })

  test.for([
    { facade: 'inherits from it', make: (client: pg.PoolClient) => Object.create(client) as pg.PoolClient },
    { facade: 'is a Proxy', make: (client: pg.PoolClient) => new Proxy(client, {}) },
    {
      facade: 'is a Proxy by Reflect',
      make: (client: pg.PoolClient) => new Proxy(client, { get: (...all) => Reflect.get(...all) }),
    },
  ])('the client of a lease can stand behind what $facade', async ({ make }, { direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const facade = make(await pool.connect()) as Noted
    expect((await facade.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(facade.processID).toBeGreaterThan(0)
    expect(facade.escapeLiteral("it's")).toBe("'it''s'")
    const notice = once(facade, 'notice')
    await facade.query("do $$ begin raise notice 'heard'; end $$")
    expect((await notice)[0]).toMatchObject({ message: 'heard' })
    facade.release()
    expect(await rejection(facade.query('select 1'))).toMatchObject({ code: 'HOLDFAST_RELEASED' })
  })
})

describe('what is noted on a client', () => {
  test('a property set by a listener of the pool is visible on the lease, and vice versa', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const found: unknown[] = []
    pool.on('connect', (client) => Object.assign(client, { born: 'in connect' }))
    pool.on('release', (_, client) => found.push((client as Noted).tenant))
    const client = (await pool.connect()) as unknown as Noted
    expect(client.born).toBe('in connect')
    client.tenant = 'one'
    client.release()
    const next = (await pool.connect()) as unknown as Noted
    expect(next.tenant).toBe('one')
    next.tenant = 'two'
    next.release()
    expect(found).toEqual(['one', 'two'])
  })

  test('a property that is set after release is not visible on the next lease', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const former = (await pool.connect()) as unknown as Noted
    former.release()
    const next = (await pool.connect()) as unknown as Noted
    former.tenant = 'of the former'
    former.binary = true
    expect([next.tenant, next.binary]).toEqual([undefined, false])
    next.release()
  })

  test('a property that is deleted again is gone for the holder, the listeners and the next', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const found: unknown[] = []
    pool.on('release', (_, client) => found.push('tenant' in client))
    const client = (await pool.connect()) as unknown as Noted
    client.tenant = 'one'
    expect((physicalClient(client) as unknown as Noted).tenant).toBe('one')
    delete client.tenant
    expect(client.tenant).toBeUndefined()
    client.release()
    const next = (await pool.connect()) as unknown as Noted
    expect([next.tenant, 'tenant' in next]).toEqual([undefined, false])
    next.release()
    expect(found).toEqual([false, false])
  })

  test('a property that is deleted unread is not told to the listeners of the pool', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const found: unknown[] = []
    pool.on('release', (_, client) => found.push((client as Noted).tenant))
    const client = (await pool.connect()) as unknown as Noted
    client.tenant = 'one'
    delete client.tenant
    client.release()
    expect(found).toEqual([undefined])
  })

  test('a property that one holder has set can be deleted by the next', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const first = (await pool.connect()) as unknown as Noted
    first.tenant = 'one'
    first.release()
    const second = (await pool.connect()) as unknown as Noted
    expect(Object.keys(second)).toContain('tenant')
    delete second.tenant
    second.release()
    const third = (await pool.connect()) as unknown as Noted
    expect([third.tenant, 'tenant' in third]).toEqual([undefined, false])
    third.tenant = 'three'
    delete third.tenant
    third.tenant = 'four'
    third.release()
    const fourth = (await pool.connect()) as unknown as Noted
    expect(fourth.tenant).toBe('four')
    fourth.release()
  })

  test('a property is not changed by an earlier holder after the next lease began', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const former = (await pool.connect()) as unknown as Noted
    former.tenant = 'one'
    former.release()
    const next = (await pool.connect()) as unknown as Noted
    former.tenant = 'late'
    expect([former.tenant, next.tenant]).toEqual(['late', 'one'])
    delete former.tenant
    expect([former.tenant, next.tenant]).toEqual(['one', 'one'])
    next.release()
  })

  test('a property that is defined again keeps its last value', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const first = (await pool.connect()) as unknown as Noted
    first.tenant = 'one'
    Object.defineProperty(first, 'tenant', { value: 'two', writable: true, enumerable: true, configurable: true })
    first.release()
    const next = (await pool.connect()) as unknown as Noted
    expect(next.tenant).toBe('two')
    next.release()
  })

  test("a property of the user's class is set, and is none of the client of the lease", async ({ direct }) => {
    class Tenants extends pg.Client {
      #tenant = 'nobody'
      get tenant(): string {
        return this.#tenant
      }
      set tenant(tenant: string) {
        this.#tenant = tenant
      }
    }
    await using pool = holdfast({ ...direct, max: 1, Client: Tenants })
    const client = (await pool.connect()) as unknown as Noted
    client.tenant = 'one'
    expect([client.tenant, Object.hasOwn(client, 'tenant')]).toEqual(['one', false])
    client.release()
  })

  test('a setting of the driver takes effect', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = (await pool.connect()) as unknown as Noted
    client.binary = true
    expect((physicalClient(client) as unknown as Noted).binary).toBe(true)
    client.binary = false
    client.release()
  })

  test('a method that is replaced on a lease is replaced for that lease', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const heard: unknown[] = []
    const client = await pool.connect()
    const { query } = client
    client.query = ((...all: unknown[]) => {
      heard.push(all[0])
      return Reflect.apply(query, client, all)
    }) as never
    await client.query('select 1')
    client.release()
    const next = await pool.connect()
    expect((await next.query('select 2 as two')).rows).toEqual([{ two: 2 }])
    expect(heard).toEqual(['select 1'])
    next.release()
  })

  test('a method that was replaced on the client itself is replaced for all leases', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const heard: unknown[] = []
    pool.on('connect', (client) => {
      const { query } = client
      client.query = ((...all: unknown[]) => {
        heard.push(all)
        return Reflect.apply(query, client, all)
      }) as never
    })
    for (let time = 1; time <= 2; time++) {
      const client = await pool.connect()
      await client.query('select $1::int', [time])
      client.release()
    }
    expect(heard).toEqual([
      ['select $1::int', [1]],
      ['select $1::int', [2]],
    ])
  })

  test('what pg-promise notes on a client counts the uses of a connection', async ({ cluster }) => {
    const uses: number[] = []
    const pgp = pgPromise({ noWarnings: true, connect: ({ useCount }) => void uses.push(useCount) })
    const { pg: driver } = pgp as unknown as { pg: { Pool: unknown } }
    const { Pool } = driver
    const { Pool: HoldfastPool } = await import('@holdfast/core')
    driver.Pool = HoldfastPool
    try {
      const db = pgp({ connectionString: cluster.url, max: 1 })
      for (let time = 1; time <= 4; time++) await db.one('select 1 as one')
      expect(uses).toEqual([0, 1, 2, 3])
      await db.$pool.end()
    } finally {
      driver.Pool = Pool
    }
  })
})

describe('clientPerLease: false', () => {
  test('clientPerLease: false leases one client, which is refused between leases', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, clientPerLease: false })
    const first = await pool.connect()
    expect(physicalClient(first)).toBe(first)
    first.release()
    expect(await rejection(first.query('select 1'))).toMatchObject({ code: 'HOLDFAST_RELEASED' })
    expect(() => first.release()).toThrow('Release called on client which has already been released to the pool.')
    const second = await pool.connect()
    expect(second).toBe(first)
    const { release } = second
    expect((await settles(second.query('select 1 as one'), 'a statement')).rows).toEqual([{ one: 1 }])
    release()
    await using third = await pool.connect()
    expect(() => release()).toThrow('Release called on client which has already been released to the pool.')
    expect((await third.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('clientPerLease is checked', () => {
    expect(() => holdfast({ clientPerLease: 'no' as never })).toThrow(
      "`clientPerLease` must be one of true, false, got 'no'.",
    )
  })
})
