import type { AttemptInfo, LeasedClient, Pool, PoolOptions } from '@holdfast/core'
import { drizzle, type HoldfastDatabase } from '@holdfast/drizzle'
import { relations } from 'drizzle-orm'
import { type NodePgDatabase, drizzle as stock } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { integer, type PgTransactionConfig, pgTable, text, withReplicas } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { describe, expectTypeOf, test } from 'vitest'

const users = pgTable('users', { id: integer().primaryKey(), name: text().notNull() })
const posts = pgTable('posts', { id: integer().primaryKey(), author: integer().notNull() })
const schema = {
  users,
  posts,
  usersRelations: relations(users, ({ many }) => ({ posts: many(posts) })),
  postsRelations: relations(posts, ({ one }) => ({
    author: one(users, { fields: [posts.author], references: [users.id] }),
  })),
}

declare const pool: Pool
declare const options: PoolOptions
declare const signal: AbortSignal

const db = drizzle({ client: pool, schema })
const theirs = stock({ client: pool, schema })

type FirstOf<Callback extends (...args: never[]) => unknown> = Parameters<Callback>[0]

describe('drizzle()', () => {
  test('takes the parameters of drizzle() in drizzle-orm/node-postgres', () => {
    expectTypeOf(drizzle('url')).toEqualTypeOf<HoldfastDatabase & { $client: Pool }>()
    expectTypeOf(drizzle('url', { schema })).toEqualTypeOf<HoldfastDatabase<typeof schema> & { $client: Pool }>()
    expectTypeOf(drizzle({ connection: 'url', schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle({ connection: { max: 3 }, logger: true, casing: 'snake_case', schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle(pool, { schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle(pool)).toEqualTypeOf<HoldfastDatabase & { $client: Pool }>()
  })

  test('takes the options of the pool, `retry` and `idempotentSelects`', () => {
    expectTypeOf(drizzle({ connection: options, schema, retry: { retries: 5 } })).toEqualTypeOf(db)
    expectTypeOf(drizzle({ client: pool, schema, retry: true })).toEqualTypeOf(db)
    // @ts-expect-error: not an option of the pool
    drizzle({ connection: { prePing: 'always' } })
    expectTypeOf(drizzle({ client: pool, schema, idempotentSelects: true })).toEqualTypeOf(db)
    // @ts-expect-error: neither true nor false
    drizzle({ client: pool, idempotentSelects: 'yes' })
    // @ts-expect-error: not an option of p-retry
    drizzle({ client: pool, retry: { times: 3 } })
  })

  test('needs a place to connect to', () => {
    // @ts-expect-error: nothing
    drizzle()
    // @ts-expect-error: neither client nor connection
    drizzle({ schema })
  })

  test('refuses a stock pool', () => {
    // @ts-expect-error: pg's own
    drizzle({ client: new pg.Pool() })
    // @ts-expect-error: pg's own
    drizzle(new pg.Pool())
  })

  test("has Drizzle's own types for drizzle.mock()", () => {
    expectTypeOf(drizzle.mock({ schema }).query).toEqualTypeOf(stock.mock({ schema }).query)
    expectTypeOf(drizzle.mock().$client).toEqualTypeOf(stock.mock().$client)
  })
})

describe('a database', () => {
  test("has the type of Drizzle's own database", () => {
    expectTypeOf(db).toExtend<NodePgDatabase<typeof schema>>()
    expectTypeOf(db).toExtend<typeof theirs>()
    expectTypeOf(migrate).toBeCallableWith(db, { migrationsFolder: 'drizzle' })
    expectTypeOf(withReplicas(db, [db]).transaction).toEqualTypeOf<typeof db.transaction>()
  })

  test('has the type of its pool or client as $client', () => {
    expectTypeOf(db.$client).toEqualTypeOf<Pool>()
    expectTypeOf(drizzle({ client: new pg.Client() }).$client).toEqualTypeOf<pg.Client>()
    expectTypeOf(drizzle({ client: {} as LeasedClient }).$client).toEqualTypeOf<LeasedClient>()
    class Tenants extends (null as unknown as typeof Pool) {
      readonly tenant = 1
    }
    expectTypeOf(drizzle({ client: new Tenants() }).$client).toEqualTypeOf<Tenants>()
  })

  test('has the relational queries of its schema', () => {
    expectTypeOf(db.query).toEqualTypeOf<typeof theirs.query>()
    expectTypeOf(db.query.users.findMany({ with: { posts: true } })).resolves.toEqualTypeOf<
      { id: number; name: string; posts: { id: number; author: number }[] }[]
    >()
    // @ts-expect-error: no such table
    void db.query.orders
  })

  test('infers the rows of a query', () => {
    expectTypeOf(db.select().from(users)).resolves.toEqualTypeOf<{ id: number; name: string }[]>()
    expectTypeOf(db.insert(users).values({ id: 1, name: 'Ada' }).returning()).resolves.toEqualTypeOf<
      { id: number; name: string }[]
    >()
  })
})

describe('db.transaction', () => {
  test("infers the same result as Drizzle's own", () => {
    expectTypeOf(db.transaction((tx) => tx.query.users.findMany())).toEqualTypeOf(
      theirs.transaction((tx) => tx.query.users.findMany()),
    )
    expectTypeOf(db.transaction(async () => 42 as const)).resolves.toEqualTypeOf<42>()
  })

  test("passes Drizzle's own transaction and the attempt to its function", () => {
    void db.transaction(async (tx, info) => {
      expectTypeOf<typeof tx>().toEqualTypeOf<FirstOf<FirstOf<typeof theirs.transaction>>>()
      expectTypeOf(info).toEqualTypeOf<AttemptInfo>()
      expectTypeOf(tx.transaction((nested) => nested.select().from(users))).resolves.toEqualTypeOf<
        { id: number; name: string }[]
      >()
    })
    // As applications name the type of `tx`.
    expectTypeOf<FirstOf<FirstOf<typeof db.transaction>>>().toEqualTypeOf<FirstOf<FirstOf<typeof theirs.transaction>>>()
  })

  test("takes Drizzle's modes and Holdfast's options", () => {
    const modes: PgTransactionConfig = { isolationLevel: 'serializable', accessMode: 'read only', deferrable: true }
    void db.transaction(async () => {}, modes)
    void db.transaction(async () => {}, { ...modes, retry: { retries: 5, minTimeout: 10 }, signal })
    void db.transaction(async () => {}, { connectionTimeoutMillis: 500, resetOnReturn: 'discard', retry: true })
    // @ts-expect-error: not a level
    void db.transaction(async () => {}, { isolationLevel: 'snapshot' })
    // @ts-expect-error: a typo
    void db.transaction(async () => {}, { retries: 5 })
    // @ts-expect-error: a savepoint has no options
    void db.transaction((tx) => tx.transaction(async () => {}, { retry: true }))
  })
})
