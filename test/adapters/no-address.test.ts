import { NullPool, type OptionsError, Pool } from '@holdfast/core'
import { HoldfastDialect } from '@holdfast/kysely'
import { holdfast } from '@holdfast/typeorm'
import { Kysely, sql } from 'kysely'
import { DataSource } from 'typeorm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { rejection, settles } from '../faults/support/settling.ts'
import { freePort } from '../support/index.ts'
import { EDITIONS } from './drizzle/support/editions.ts'
import { causesOf, expectCause } from './support/causes.ts'

/** As `DATABASE_URL` in a program that is built in a container. */
const unset = process.env.HOLDFAST_NO_SUCH_VARIABLE

let before: NodeJS.ProcessEnv
beforeEach(async () => {
  before = { ...process.env }
  for (const variable of Object.keys(process.env)) if (variable.startsWith('PG')) delete process.env[variable]
  process.env.PGPORT = `${await freePort()}` // No server listens there.
})
afterEach(() => {
  process.env = before
})

describe.each(EDITIONS)('drizzle on $edition', (edition) => {
  const drizzle = edition.drizzle as unknown as (...params: unknown[]) => {
    execute(sql: string): Promise<unknown>
    transaction(fn: () => Promise<void>): Promise<void>
    readonly $client: Pool
  }

  test.for<[unknown[]]>([
    [[unset]],
    [[unset, { schema: {} }]],
    [['']],
    [[{}]],
    [[{ connection: unset }]],
    [[{ connection: '', retry: true }]],
    [[{ client: unset, idempotentSelects: true }]],
  ])(
    'drizzle makes a database without an address, which asks for the variable when it is used: %o',
    async ([params]) => {
      const db = drizzle(...params)
      const calls = [
        db.execute('select 1'),
        db.transaction(async () => {}),
        db.$client.query('select 1'),
        db.$client.connect(),
      ]
      for (const error of await Promise.all(calls.map(rejection)))
        expectCause(error, {
          code: 'HOLDFAST_INVALID_OPTION',
          message: expect.stringContaining('is the variable set that it comes from, such as DATABASE_URL?'),
        } satisfies Partial<Record<keyof OptionsError, unknown>>)
      await settles(db.$client.end(), 'end()')
    },
  )
})

const HINT =
  'nothing says where the server is: is the variable set that `connectionString` comes from, such as DATABASE_URL?'
const messagesOf = async (work: Promise<unknown>): Promise<string> =>
  causesOf(await rejection(work))
    .map(({ message }) => message)
    .join('\n')
const impatient = { connectionTimeoutMillis: 300, logger: { debug() {}, info() {}, warn() {}, error() {} } }

describe("the first use on pg's default address names the variable that may not be set", () => {
  test.for([
    ['in Pool', () => new Pool({ connectionString: unset, ...impatient })],
    ['in Pool, for an empty string', () => new Pool({ connectionString: '', ...impatient })],
    ['in NullPool', () => new NullPool({ connectionString: unset, ...impatient })],
  ] as const)(
    "the first use on pg's default address names the variable that may not be set, in %s",
    async ([, make]) => {
      await using pool = make()
      expect(await messagesOf(pool.query('select 1'))).toContain(HINT)
    },
  )

  test("the first use on pg's default address names the variable that may not be set, in HoldfastDialect", async () => {
    const db = new Kysely({ dialect: new HoldfastDialect({ connectionString: unset, ...impatient }) })
    expect(await messagesOf(sql`select 1`.execute(db))).toContain(HINT)
    await db.destroy()
  })

  test("the first use on pg's default address names the variable that may not be set, in TypeORM's holdfast()", async () => {
    const source = new DataSource(holdfast({ type: 'postgres', url: unset as string, holdfast: impatient }))
    expect(await messagesOf(source.initialize())).toContain(HINT)
  })

  test('no variable is named when an address or no `connectionString` was given', async () => {
    const pools = [new Pool({ connectionString: unset, host: '127.0.0.1', ...impatient }), new Pool(impatient)]
    process.env.PGHOST = '127.0.0.1'
    pools.push(new Pool({ connectionString: unset, ...impatient }))
    for (const pool of pools) {
      const { cause } = (await rejection(pool.query('select 1'))) as { cause?: Error }
      expect(cause?.message).toMatch(/ECONNREFUSED/)
      expect(cause?.message).not.toContain('DATABASE_URL')
      await pool.end()
    }
  })
})
