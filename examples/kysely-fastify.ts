import { isDisconnect, Pool } from '@holdfast/core'
import { HoldfastDialect, withRetry } from '@holdfast/kysely'
import Fastify from 'fastify'
import { type Generated, Kysely } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'

interface Database {
  orders: { id: Generated<number>; key: string; cents: number; status: Generated<'open' | 'paid'> }
  payments: { id: Generated<number>; key: string; order_id: number; cents: number }
}

const pool = new Pool({ connectionString: process.env.DATABASE_URL })
const db = new Kysely<Database>({ dialect: new HoldfastDialect({ pool }) })

await db.schema
  .createTable('orders')
  .ifNotExists()
  .addColumn('id', 'integer', (column) => column.generatedAlwaysAsIdentity().primaryKey())
  .addColumn('key', 'text', (column) => column.notNull().unique())
  .addColumn('cents', 'integer', (column) => column.notNull())
  .addColumn('status', 'text', (column) => column.notNull().defaultTo('open'))
  .execute()
await db.schema
  .createTable('payments')
  .ifNotExists()
  .addColumn('id', 'integer', (column) => column.generatedAlwaysAsIdentity().primaryKey())
  .addColumn('key', 'text', (column) => column.notNull().unique())
  .addColumn('order_id', 'integer', (column) => column.notNull().unique().references('orders.id'))
  .addColumn('cents', 'integer', (column) => column.notNull())
  .execute()

const app = Fastify({ logger: true })

// During shutdown, clients with keep-alive connections are told to close them.
app.addHook('onSend', async (_request, reply) => {
  if (!app.server.listening) reply.header('connection', 'close')
})

// A request is repeatable by its key: the client makes it up, and sends the same key again when it repeats the request.
const headers = {
  type: 'object',
  required: ['idempotency-key'],
  properties: { 'idempotency-key': { type: 'string', minLength: 1 } },
}
const params = { type: 'object', properties: { id: { type: 'integer' } } }
const newOrder = { type: 'object', required: ['cents'], properties: { cents: { type: 'integer', minimum: 1 } } }

interface Repeatable {
  Headers: { 'idempotency-key': string }
}

interface OfOrder {
  Params: { id: number }
}

interface NewOrder {
  Body: { cents: number }
}

app.post<Repeatable & NewOrder>('/orders', { schema: { headers, body: newOrder } }, async (request, reply) => {
  const key = request.headers['idempotency-key']
  const { cents } = request.body
  const order = await withRetry(db.transaction()).execute(async (trx) => {
    await trx
      .insertInto('orders')
      .values({ key, cents })
      .onConflict((conflict) => conflict.column('key').doNothing())
      .execute()
    return trx.selectFrom('orders').select(['id', 'cents', 'status']).where('key', '=', key).executeTakeFirst()
  })
  return reply.code(201).send(order)
})

app.post<Repeatable & OfOrder>('/orders/:id/pay', { schema: { headers, params } }, async (request) => {
  const key = request.headers['idempotency-key']
  const { id } = request.params
  // Runs again as a whole if its connection dies, so both rows are written or neither is.
  return withRetry(db.transaction()).execute(async (trx) => {
    const order = await trx.selectFrom('orders').select('cents').where('id', '=', id).forUpdate().executeTakeFirst()
    if (!order) throw refusal(404, 'there is no such order')
    await trx
      .insertInto('payments')
      .values({ key, order_id: id, cents: order.cents })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const made = await trx
      .selectFrom('payments')
      .select('id')
      .where('key', '=', key)
      .where('order_id', '=', id)
      .executeTakeFirst()
    if (!made) throw refusal(409, 'paid already, or the key belongs to another payment')
    return trx
      .updateTable('orders')
      .set({ status: 'paid' })
      .where('id', '=', id)
      .returning(['id', 'cents', 'status'])
      .executeTakeFirst()
  })
})

app.get<OfOrder>('/orders/:id', { schema: { params } }, async (request) => {
  // In a transaction, which runs again as a whole if its connection dies.
  const order = await withRetry(db.transaction().setAccessMode('read only')).execute((trx) =>
    trx
      .selectFrom('orders')
      .select(['id', 'cents', 'status'])
      .select((eb) =>
        jsonArrayFrom(
          eb.selectFrom('payments').select(['id', 'cents']).whereRef('payments.order_id', '=', 'orders.id'),
        ).as('payments'),
      )
      .where('id', '=', request.params.id)
      .executeTakeFirst(),
  )
  if (!order) throw refusal(404, 'there is no such order')
  return order
})

app.get('/status', () => pool.status())

app.setErrorHandler((error, _request, reply) => {
  // Lost before COMMIT, the transaction has run again. Lost after it, the outcome is unknown: the client repeats the key.
  if (isDisconnect(error))
    return reply.code(503).header('retry-after', '1').send({ message: 'outcome unknown: repeat it' })
  return reply.send(error) // as Fastify does
})

/** An error that Fastify answers with this status. */
function refusal(statusCode: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode })
}

// Open requests are answered. Then the connections are closed, and the process exits by itself.
app.addHook('onClose', () => db.destroy())
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void app.close())

await app.listen({ port: Number(process.env.PORT ?? 3000) })
