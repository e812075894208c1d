import { isDisconnect, Pool } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { serve } from '@hono/node-server'
import { and, eq, relations, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { validator } from 'hono/validator'

const orders = pgTable('orders', {
  id: integer().generatedAlwaysAsIdentity().primaryKey(),
  key: text().notNull().unique(),
  cents: integer().notNull(),
  status: text({ enum: ['open', 'paid'] })
    .notNull()
    .default('open'),
})

const payments = pgTable('payments', {
  id: integer().generatedAlwaysAsIdentity().primaryKey(),
  key: text().notNull().unique(),
  orderId: integer('order_id')
    .notNull()
    .unique()
    .references(() => orders.id),
  cents: integer().notNull(),
})

const ordersRelations = relations(orders, ({ many }) => ({ payments: many(payments) }))
const paymentsRelations = relations(payments, ({ one }) => ({
  order: one(orders, { fields: [payments.orderId], references: [orders.id] }),
}))

const pool = new Pool({ connectionString: process.env.DATABASE_URL })
const db = drizzle({
  client: pool,
  schema: { orders, payments, ordersRelations, paymentsRelations },
  retry: true, // every transaction, as a whole, when it is certain that nothing of it was written
})

// In your own service, drizzle-kit does this.
await db.execute(sql`
  create table if not exists orders (
    id integer generated always as identity primary key,
    key text not null unique,
    cents integer not null,
    status text not null default 'open'
  );
  create table if not exists payments (
    id integer generated always as identity primary key,
    key text not null unique,
    order_id integer not null unique references orders,
    cents integer not null
  );
`)

const app = new Hono()

// During shutdown, clients with keep-alive connections are told to close them.
app.use(async (c, next) => {
  await next()
  if (!server.listening) c.header('connection', 'close')
})

/** A request is repeatable by its key: the client makes it up, and sends the same key again when it repeats the request. */
const repeatable = validator('header', ({ 'idempotency-key': key }) => {
  if (!key) throw new HTTPException(400, { message: 'the header Idempotency-Key is missing' })
  return { key }
})

const newOrder = validator('json', ({ cents }) => {
  if (!Number.isInteger(cents) || cents <= 0) throw new HTTPException(400, { message: 'cents must be a whole number' })
  return { cents: cents as number }
})

const shown = { id: orders.id, cents: orders.cents, status: orders.status }

app.post('/orders', repeatable, newOrder, async (c) => {
  const { key } = c.req.valid('header')
  const { cents } = c.req.valid('json')
  const [order] = await db.transaction(async (tx) => {
    await tx.insert(orders).values({ key, cents }).onConflictDoNothing({ target: orders.key })
    return tx.select(shown).from(orders).where(eq(orders.key, key))
  })
  return c.json(order, 201)
})

app.post('/orders/:id{[0-9]+}/pay', repeatable, async (c) => {
  const { key } = c.req.valid('header')
  const id = Number(c.req.param('id'))
  // Runs again as a whole if its connection dies, so both rows are written or neither is.
  const [order] = await db.transaction(async (tx) => {
    const [found] = await tx.select(shown).from(orders).where(eq(orders.id, id)).for('update')
    if (!found) throw new HTTPException(404, { message: 'there is no such order' })
    await tx.insert(payments).values({ key, orderId: id, cents: found.cents }).onConflictDoNothing()
    const isMade = await tx.$count(payments, and(eq(payments.key, key), eq(payments.orderId, id)))
    if (!isMade) throw new HTTPException(409, { message: 'paid already, or the key belongs to another payment' })
    return tx.update(orders).set({ status: 'paid' }).where(eq(orders.id, id)).returning(shown)
  })
  return c.json(order)
})

app.get('/orders/:id{[0-9]+}', async (c) => {
  const id = Number(c.req.param('id'))
  // In a transaction, which runs again as a whole if its connection dies.
  const order = await db.transaction(
    (tx) =>
      tx.query.orders.findFirst({
        columns: { key: false },
        with: { payments: { columns: { id: true, cents: true } } },
        where: eq(orders.id, id),
      }),
    { accessMode: 'read only' },
  )
  if (!order) throw new HTTPException(404, { message: 'there is no such order' })
  return c.json(order)
})

app.get('/status', (c) => c.json(pool.status()))

app.onError((error, c) => {
  if (error instanceof HTTPException) return c.json({ message: error.message }, error.status)
  // Lost before COMMIT, the transaction has run again. Lost after it, the outcome is unknown: the client repeats the key.
  if (isDisconnect(error)) return c.json({ message: 'outcome unknown: repeat it' }, 503, { 'retry-after': '1' })
  console.error(error)
  return c.json({ message: 'internal error' }, 500)
})

const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
  console.log(`listening on http://localhost:${port}`)
})

// Open requests are answered. Then the connections are closed, and the process exits by itself.
server.once('close', () => void pool.end())
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.close())
