import { Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { defineRelations, eq, sql } from 'drizzle-orm'
import { drizzle as stock } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { integer, pgTable, text, withReplicas } from 'drizzle-orm/pg-core'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

function same<A, B>(_same: Same<A, B>): void {}

const users = pgTable('users', { id: integer().primaryKey(), name: text().notNull() })
const posts = pgTable('posts', { id: integer().primaryKey(), author: integer().notNull() })
const relations = defineRelations({ users, posts }, (r) => ({
  users: { posts: r.many.posts({ from: r.users.id, to: r.posts.author }) },
}))

await using pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 1 })
const db = drizzle({ client: pool, relations, jit: false, retry: { retries: 2, minTimeout: 1 } })
const theirs = stock({ client: pool, relations })

same<typeof db.$client, Pool>(true)
same<typeof db.query, typeof theirs.query>(true)
same<Parameters<Parameters<typeof db.transaction>[0]>[0], Parameters<Parameters<typeof theirs.transaction>[0]>[0]>(true)
// @ts-expect-error: a signal is none of Drizzle's
void (() => theirs.transaction(async () => {}, { signal: AbortSignal.timeout(1) }))
// @ts-expect-error: not an isolation level
void (() => db.transaction(async () => {}, { isolationLevel: 'snapshot' }))
void (() => migrate(db, { migrationsFolder: 'drizzle' }))

await db.execute(sql`create temporary table users (id int primary key, name text not null)`)
await db.execute(sql`create temporary table posts (id int primary key, author int not null)`)

const attempts: number[] = []
const count = await db.transaction(
  async (tx, { attempt }) => {
    attempts.push(attempt)
    await tx.insert(users).values({ id: 1, name: 'Ada' })
    await tx.transaction((nested) => nested.insert(posts).values({ id: 1, author: 1 }))
    if (attempt === 1) await tx.execute(sql`do $$ begin raise exception using errcode = '40001'; end $$`)
    return tx.$count(users)
  },
  { isolationLevel: 'repeatable read' },
)
same<typeof count, number>(true)
if (`${[attempts, count]}` !== '1,2,1') throw new Error(`Attempts: ${attempts}, count: ${count}`)

const byId = db
  .select()
  .from(users)
  .where(eq(users.id, sql.placeholder('id')))
  .prepare('user_by_id')
if ((await byId.execute({ id: 1 }))[0]?.name !== 'Ada') throw new Error('No Ada')

const replicated = withReplicas(db, [db])
await replicated.transaction(async (tx, { attempt }) => {
  if (attempt === 1) await tx.execute(sql`do $$ begin raise exception using errcode = '40001'; end $$`)
})

const rows = await db.query.users.findMany({ with: { posts: { columns: { id: true } } } })
same<typeof rows, { id: number; name: string; posts: { id: number }[] }[]>(true)
console.log(JSON.stringify(rows))
