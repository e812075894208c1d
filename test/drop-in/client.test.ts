import pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'
import { LIBRARIES } from './support/libraries.ts'
import { calledWith, told } from './support/observing.ts'

/** https://node-postgres.com/apis/client, for a leased client. */
describe.each(LIBRARIES)('$library: a leased client', ({ open }) => {
  test('a leased client says where it is connected to, and to which process', async ({ cluster, direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    const { host, port, user, database, password, processID } = client as unknown as Record<string, unknown>
    expect({ host, port, user, database, password }).toEqual({
      host: direct.host,
      port: direct.port,
      user: direct.user,
      database: direct.database,
      password: direct.password,
    })
    expect(await cluster.countSessions({ pid: processID as number })).toBe(1)
    expect(Object.keys(client)).not.toContain('password')
    client.release()
  })

  test('a leased client escapes what goes into a text', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    expect(client.escapeIdentifier('Foo"Identifier')).toBe('"Foo""Identifier"')
    expect(client.escapeLiteral("hello 'world'")).toBe("'hello ''world'''")
    expect(client.escapeLiteral('back\\slash')).toBe(" E'back\\\\slash'")
    client.release()
  })

  test('a leased client has type parsers of its own, which stay with the connection', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    client.setTypeParser(pg.types.builtins.INT8, BigInt)
    expect(client.getTypeParser(pg.types.builtins.INT8)('5')).toBe(5n)
    expect((await client.query('select 1::int8 as it')).rows).toEqual([{ it: 1n }])
    client.release()
    expect((await pool.query('select 1::int8 as it')).rows).toEqual([{ it: 1n }])
    await using other = open(direct)
    expect((await other.query('select 1::int8 as it')).rows).toEqual([{ it: '1' }])
  })

  test('a leased client knows the state of its transaction', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    const state = (): unknown => client.getTransactionStatus()
    expect(state()).toBe('I')
    await client.query('begin')
    expect(state()).toBe('T')
    await rejection(client.query('select nonsense'))
    await until(() => state() === 'E')
    await client.query('rollback')
    expect(state()).toBe('I')
    client.release()
  })

  test('a leased client can not be connected again', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    const again = client.connect() as unknown as Promise<void>
    expect(await rejection(again)).toMatchObject({ message: expect.stringContaining('already been connected') })
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    client.release()
  })

  test('a leased client emits notices', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    const notice = told(client, 'notice')
    await client.query("do $$ begin raise notice using message = 'take note', hint = 'a pen'; end $$")
    expect((await notice)[0]).toMatchObject({ message: 'take note', hint: 'a pen', severity: 'NOTICE', code: '00000' })
    client.release()
  })

  test('a leased client emits drain when all of its statements are answered', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    const drained = told(client, 'drain')
    await client.query('select 1')
    await drained
    client.release()
  })

  test('a leased client emits end once', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    let ends = 0
    client.on('end', () => ends++)
    client.release(true)
    await until(() => ends > 0)
    await pool.end()
    expect(ends).toBe(1)
  })

  test('a leased client throws at what is no query, and at what is no callback', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    for (const nothing of [null, undefined]) expect(() => client.query(nothing as never)).toThrow(TypeError)
    expect(() => client.query('select 1', [], 'no function' as never)).toThrow(TypeError)
    expect((await settles(client.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    client.release()
  })

  test('a leased client runs the statements that it is given at once one after the other', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    await client.query('create temp table step (number int)')
    const steps = [1, 2, 3, 4, 5].map((number) => client.query('insert into step values ($1)', [number]))
    const failing = client.query('select nonsense')
    const last = client.query('select array_agg(number) as numbers from step')
    expect(await rejection(failing)).toMatchObject({ code: '42703' })
    expect((await last).rows).toEqual([{ numbers: [1, 2, 3, 4, 5] }])
    await Promise.all(steps)
    client.release()
  })

  test('a leased client may be wrapped, and restored before the release: the project structure guide', async ({
    direct,
  }) => {
    await using pool = open({ ...direct, max: 1 })
    const lastQueries: unknown[] = []
    for (let time = 1; time <= 3; time++) {
      const client = await pool.connect()
      const { query, release } = client
      client.query = ((...all: unknown[]) => {
        lastQueries.push(all)
        return query.apply(client, all as never)
      }) as never
      client.release = () => {
        client.query = query
        client.release = release
        release.apply(client)
      }
      expect((await client.query('select $1::int as it', [time])).rows).toEqual([{ it: time }])
      client.release()
    }
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(lastQueries).toEqual([1, 2, 3].map((time) => ['select $1::int as it', [time]]))
  })

  test('a leased client has a property that its holder adds, until the holder deletes it', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = (await pool.connect()) as pg.PoolClient & Record<string, unknown>
    client.mark = 1
    expect([client.mark, 'mark' in client, Object.hasOwn(client, 'mark')]).toEqual([1, true, true])
    expect(Object.keys(client)).toContain('mark')
    expect({ ...client }).toHaveProperty('mark', 1)
    expect(delete client.mark).toBe(true)
    expect([client.mark, 'mark' in client, Object.hasOwn(client, 'mark')]).toEqual([undefined, false, false])
    client.release()
  })

  test('a leased client is as its last holder left it, for the next one', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const tenants: unknown[] = []
    for (const tenant of ['one', 'two', 'three']) {
      const client = (await pool.connect()) as pg.PoolClient & { tenant?: string }
      tenants.push(client.tenant)
      client.tenant = tenant
      if (tenant === 'two') delete client.tenant
      client.release()
    }
    expect(tenants).toEqual([undefined, 'one', undefined])
  })

  test('a leased client can be cancelled by another client', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = (await pool.connect()) as pg.PoolClient & { readonly processID: number }
    const query = new pg.Query("select pg_sleep('infinity')")
    const failed = told(query, 'error').then(([error]) => error)
    client.query(query)
    await until(async () => (await cluster.countSessions({ pid: client.processID, state: 'active' })) === 1)
    const other = new pg.Client(direct)
    other.on('error', () => {})
    ;(other as unknown as { cancel(client: unknown, query: unknown): void }).cancel(client, query)
    expect(await settles(failed as Promise<unknown>, 'the cancelled query')).toMatchObject({ code: '57014' })
    other.connection.stream.destroy()
    client.release()
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('a leased client refuses its second release', async ({ direct }) => {
    await using pool = open(direct)
    const client = await pool.connect()
    client.release()
    expect(() => client.release()).toThrow('Release called on client which has already been released to the pool.')
  })
})

/** The driver's class, with a method of its own, and a word in everything that is sent. */
class OwnClient extends pg.Client {
  readonly seen: unknown[] = []

  // biome-ignore lint/suspicious/noExplicitAny: the overloads are those of pg.Client.
  override query(...all: any[]): any {
    this.seen.push(all[0])
    return super.query(...(all as [string]))
  }

  async tenant(name: string): Promise<void> {
    await this.query(`set search_path = ${this.escapeIdentifier(name)}`)
  }
}

describe.each(LIBRARIES)("$library: a client class of the user's own", ({ open }) => {
  test("an instance of the user's own client class is leased, with its methods", async ({ direct }) => {
    await using pool = open({ ...direct, max: 1, Client: OwnClient as never })
    const client = (await pool.connect()) as unknown as OwnClient & pg.PoolClient
    expect(client).toBeInstanceOf(OwnClient)
    await client.tenant('of_the_tenant')
    expect((await client.query('show search_path')).rows).toEqual([{ search_path: 'of_the_tenant' }])
    expect((await calledWith((done) => client.query('show search_path', done)))[1]).toMatchObject({
      rows: [{ search_path: 'of_the_tenant' }],
    })
    expect(client.seen).toEqual(['set search_path = "of_the_tenant"', 'show search_path', 'show search_path'])
    client.release()
    await pool.query('select 1')
    expect(client.seen.at(-1)).toBe('select 1')
  })

  test("the user's own client class is given the options of the pool", async ({ direct }) => {
    const given: unknown[] = []
    class Listening extends pg.Client {
      constructor(config: pg.ClientConfig) {
        super(config)
        given.push(config)
      }
    }
    await using pool = open({ ...direct, max: 1, Client: Listening as never, ofMyOwn: 'setting' } as object)
    await pool.query('select 1')
    expect(given).toMatchObject([{ host: direct.host, password: direct.password, max: 1, ofMyOwn: 'setting' }])
  })
})
