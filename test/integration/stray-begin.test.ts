import { Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, type MockInstance, vi } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { StockPool } from '../faults/support/pools.ts'
import { until } from '../support/index.ts'

const CODE = 'HOLDFAST_TRANSACTION_LEFT_OPEN'

let warned: MockInstance<typeof process.emitWarning>
beforeEach(() => {
  warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
})
afterEach(() => warned.mockRestore())

function warnings(): unknown[] {
  return warned.mock.calls.filter(([, options]) => (options as { code?: string } | undefined)?.code === CODE)
}

function open(options: PoolOptions): Pool {
  return new Pool({ max: 1, ...options })
}

/** Every form in which `pool.query` takes a statement. */
const FORMS: readonly (readonly [string, (pool: Pool, text: string) => Promise<unknown>])[] = [
  ['a text', (pool, text) => pool.query(text)],
  ['a text and values', (pool, text) => pool.query(text, [])],
  ['a config', (pool, text) => pool.query({ text })],
  ['a config with a name', (pool, text) => pool.query({ text, name: 'prepared' })],
  ['a config with a signal', (pool, text) => pool.query({ text, signal: new AbortController().signal })],
  ['a callback', (pool, text) => new Promise((resolve) => pool.query(text, () => resolve(undefined)))],
  ['a Query', (pool, text) => pool.query(new pg.Query(text)) as unknown as Promise<unknown>],
]

describe("pool.query('begin')", () => {
  test('stock pg.Pool, with one connection: a stray BEGIN happens to be the transaction of what follows', async ({
    cluster,
    direct,
  }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    await pool.query('begin')
    await pool.query("insert into entry values ('stray, stock')")
    await pool.query('rollback')
    expect(await cluster.query("select from entry where id = 'stray, stock'")).toEqual([])
  })

  test('Holdfast: what follows a stray BEGIN is written, and that is said once', async ({ cluster, direct }) => {
    await using pool = open(direct)
    for (const id of ['one', 'two']) {
      await pool.query('begin')
      await pool.query(`insert into entry values ('stray, ${id}')`)
      await pool.query('rollback')
    }
    expect(await cluster.query("select from entry where id in ('stray, one', 'stray, two')")).toHaveLength(2)
    expect(warnings()).toHaveLength(1)
    expect(warnings()[0]).toEqual([
      expect.stringMatching(/pool\.transaction\(fn\).*pool\.connect\(\)/),
      expect.anything(),
    ])
  })

  test.for(FORMS)('a stray BEGIN is seen in every form: %s', async ([_form, run], { direct }) => {
    await using pool = open(direct)
    await run(pool, 'begin')
    await until(() => warnings().length === 1)
  })

  test.for(['BEGIN', 'start transaction read only', '/* by hand */ begin', '-- by hand\nBEGIN;', 'begin; select 1'])(
    'a stray BEGIN is seen in every wording: %j',
    async (text, { direct }) => {
      await using pool = open(direct)
      await pool.query(text)
      expect(warnings()).toHaveLength(1)
    },
  )

  test('a stray BEGIN is seen where connect is overridden', async ({ direct }) => {
    class Traced extends Pool {}
    const { connect } = Pool.prototype as unknown as { connect(...args: unknown[]): unknown }
    Object.assign(Traced.prototype, {
      connect(this: Pool, ...args: unknown[]): unknown {
        return connect.apply(this, args)
      },
    })
    await using pool = new Traced({ ...direct, max: 1 })
    await pool.query('begin')
    expect(warnings()).toHaveLength(1)
  })

  test('a stray BEGIN is said to the logger, if there is one', async ({ direct }) => {
    const lines: string[] = []
    const logger = { debug() {}, info() {}, warn: (line: string) => lines.push(line), error() {} }
    await using pool = open({ ...direct, logger })
    await pool.query('begin')
    expect(warnings()).toEqual([])
    expect(lines).toEqual([expect.stringContaining('pool.transaction(fn)')])
  })
})

test.for([
  'begin; select 1; commit',
  'begin; select 1; rollback',
  'select 1',
  "select 'begin'",
  'do $$ begin perform 1; end $$',
  'rollback',
])('nothing is said of %j', async (text, { direct }) => {
  await using pool = open(direct)
  await pool.query(text)
  await pool.transaction((tx) => tx.query('select 1'))
  using client = await pool.connect()
  await client.query('begin')
  await client.query('commit')
  expect(warnings()).toEqual([])
})

test('nothing is said of a transaction that an overridden connect has begun', async ({ direct }) => {
  class Tenants extends Pool {}
  const { connect } = Pool.prototype as unknown as { connect(done: (...args: unknown[]) => void): void }
  Object.assign(Tenants.prototype, {
    connect(this: Pool, done: (error: unknown, client: pg.PoolClient | undefined, release: unknown) => void) {
      connect.call(this, (error, client, release) => {
        if (error) done(error, undefined, release)
        else (client as pg.PoolClient).query('begin', () => done(undefined, client as pg.PoolClient, release))
      })
    },
  })
  await using pool = new Tenants({ ...direct, max: 1 })
  await pool.query('select 1')
  expect(warnings()).toEqual([])
})
