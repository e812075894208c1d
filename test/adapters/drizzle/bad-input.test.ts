import { Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import pg from 'pg'
import { build } from 'rolldown'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { rejection } from '../../faults/support/settling.ts'
import { EDITIONS } from './support/editions.ts'
import { Installation } from './support/installation.ts'

describe.each(EDITIONS)('drizzle() on $edition refuses', (edition) => {
  const pool = new edition.Pool()
  const url = 'postgres://localhost/orders'

  function refusal(...params: unknown[]): unknown {
    try {
      ;(edition.drizzle as unknown as (...given: unknown[]) => unknown)(...params)
    } catch (error) {
      return error
    }
    throw new Error('Accepted')
  }

  test.for([
    [[{ client: pool, connection: url }], '`client` and `connection`'],
    [[url, { client: pool }], 'its first argument and `client`'],
    [[url, { connection: url }], 'its first argument and `connection`'],
    [[pool, { client: pool }], 'its first argument and `client`'],
    [[{ client: pool }, { schema: {} }], 'a second argument and `client`'],
  ])('drizzle() refuses two places to connect to: %#', ([params, got]) => {
    expect(refusal(...(params as unknown[]))).toMatchObject({
      code: 'HOLDFAST_INVALID_OPTION',
      problems: [`drizzle needs one \`client\` or \`connection\`, got ${got}.`],
    })
  })

  test.for([null, 5432])('drizzle() refuses %s in place of a connection string', (first) => {
    const message = `drizzle takes a connection string, a client or a config first, got ${first}.`
    expect(refusal(first)).toMatchObject({ code: 'HOLDFAST_INVALID_OPTION', message })
  })

  test.for([null, {}, url, 5432])('drizzle() refuses %o as `client`', (client) => {
    const message = expect.stringContaining("`client` must be a Pool of '@holdfast/core', got ")
    expect(refusal({ client })).toMatchObject({ code: 'HOLDFAST_INVALID_OPTION', message })
  })

  test.for([null, 5432, pool])('drizzle() refuses %o as `connection`', (connection) => {
    const message = '`connection` must be a connection string, or the options of a pool. A pool is a `client`.'
    expect(refusal({ connection })).toMatchObject({ code: 'HOLDFAST_INVALID_OPTION', message })
  })

  test('drizzle() refuses a stock pg.Pool, and names the import that works', () => {
    for (const params of [[{ client: new pg.Pool() }], [new pg.Pool()]])
      expect(refusal(...params)).toMatchObject({
        code: 'HOLDFAST_INVALID_OPTION',
        message: expect.stringMatching(/must be a Pool of '@holdfast\/core', got another pool \(BoundPool\)\. Import/),
      })
  })

  test('drizzle() refuses a pool that has ended', async () => {
    const ended = new edition.Pool()
    await ended.end()
    const message = '`client` must be a pool in use, got one that has ended.'
    expect(refusal({ client: ended })).toMatchObject({ code: 'HOLDFAST_INVALID_OPTION', message })
  })
})

test('drizzle() on Drizzle 0.45 refuses a config that Drizzle would take for a client', () => {
  const logger = { info: () => {} } as never
  expect(() => drizzle({ client: new Pool(), logger })).toThrow('Drizzle refuses its config: look at `logger`')
})

describe('a pool that ends after the database was made', () => {
  test.for(EDITIONS)(
    'a pool that ends after the database was made is reported by statements and by transactions, on $edition',
    async ({ drizzle }, { direct }) => {
      const db = drizzle({ connection: direct })
      await db.$client.end()
      const closed = { code: 'HOLDFAST_POOL_CLOSED', message: 'Cannot use a pool after calling end on the pool' }
      expect(await rejection(db.execute('select 1'))).toMatchObject({ cause: closed })
      expect(await rejection(db.transaction(async () => {}))).toMatchObject(closed)
    },
  )
})

const OPEN = `
import { Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
class Database extends Pool {}
class Tenants extends Pool { static { Object.defineProperty(this, 'name', { value: 'TenantsPool' }) } }
for (const Class of [Pool, Database, Tenants]) {
  const client = new Class()
  try {
    console.log(drizzle({ client }).$client === client)
  } catch (error) {
    console.log(error.name, error.message)
  }
}`

const SPREAD = `
import { Pool } from '@holdfast/core'
import { drizzle } from 'drizzle-orm/node-postgres'
class Database extends Pool {}
const client = new Database({ connectionString: process.env.DATABASE_URL })
const db = drizzle({ client })
await db.transaction(async (tx) => {
  await tx.execute("insert into entry values ('undone')")
  tx.rollback()
}).catch(() => {})
console.log((await db.execute("select id from entry where id = 'undone'")).rows)
await client.end()`

describe('two installed copies of pg', () => {
  test('two installed copies of pg make stock Drizzle spread a transaction over several connections, so that nothing is rolled back', async ({
    cluster,
  }) => {
    await using installation = await Installation.create({ hasTwoCopiesOfPg: true })
    const { printed } = await installation.run(SPREAD, { DATABASE_URL: cluster.url })
    expect(printed).toBe("[ { id: 'undone' } ]")
  })

  test('two installed copies of pg make Holdfast refuse a pool that Drizzle would not recognise, and name a remedy that works', async () => {
    await using installation = await Installation.create({ hasTwoCopiesOfPg: true })
    const { printed, stderr } = await installation.run(OPEN)
    const [plain, subclass, renamed] = printed.split('\n')
    expect([plain, renamed, stderr]).toEqual(['true', 'true', ''])
    expect(subclass).toMatch(/^OptionsError Drizzle does not recognise `client` \(Database\) as a pool.*npm ls pg/)
  })

  test("two installed copies of pg leave Holdfast's own pool recognised when it is minified", async () => {
    await using installation = await Installation.create({ hasTwoCopiesOfPg: true })
    const input = await installation.write('program.js', OPEN)
    const { output } = await build({
      input,
      output: { minify: true },
      platform: 'node',
      external: [/^pg$/, /^drizzle-orm/],
      write: false,
    })
    const { printed } = await installation.run(output[0].code)
    const [plain, subclass, renamed] = printed.split('\n')
    expect([plain, renamed]).toEqual(['true', 'true'])
    expect(subclass).toMatch(/^OptionsError Drizzle does not recognise `client` \([\w$]{1,2}\) as a pool/)
  })

  test('two copies of pg are needed to confuse Drizzle: with one copy a pool may have any class name', async () => {
    await using installation = await Installation.create()
    expect((await installation.run(OPEN)).printed).toBe('true\ntrue\ntrue')
  })
})

describe('importing @holdfast/drizzle', () => {
  test("importing @holdfast/drizzle fails with Node's error that names drizzle-orm when that isn't installed", async () => {
    await using installation = await Installation.create({ drizzle: false })
    const { stderr, code } = await installation.run("import '@holdfast/drizzle'")
    expect(code).toBe(1)
    expect(stderr).toMatch(/Cannot find package 'drizzle-orm' imported from .*@holdfast\/drizzle/)
  })

  test('importing @holdfast/drizzle makes drizzle() name the supported versions when another drizzle-orm is installed', async () => {
    await using installation = await Installation.create({ drizzle: false })
    const old = { name: 'drizzle-orm', type: 'module', exports: { './node-postgres': './node-postgres.js' } }
    await installation.write('node_modules/drizzle-orm/package.json', JSON.stringify(old))
    // As before `{ client }`: the first argument was always the client.
    await installation.write(
      'node_modules/drizzle-orm/node-postgres.js',
      'export function drizzle() { return { _: {} } }',
    )
    const { printed } = await installation.run(OPEN)
    const refused =
      'OptionsError This drizzle-orm is not supported: @holdfast/drizzle needs drizzle-orm >=0.45 <0.46 || >=1.0.0-rc.5 <2.'
    expect(printed.split('\n')).toEqual([refused, refused, refused])
  })
})
