const { drizzle } = require('@holdfast/drizzle')
const { eq } = require('drizzle-orm')
const { pgTable, text } = require('drizzle-orm/pg-core')

const entry = pgTable('entry', { id: text().primaryKey() })
const id = 'written by require'

async function main() {
  const db = drizzle(process.env.DATABASE_URL, { schema: { entry } })
  await db.transaction(async (tx) => {
    await tx.insert(entry).values({ id })
    await tx.transaction((nested) => nested.select().from(entry).where(eq(entry.id, id)))
  })
  console.log(JSON.stringify(await db.query.entry.findMany({ where: eq(entry.id, id) })))
  await db.$client.end()
}

void main()
