import { isDisconnect } from '@holdfast/core'
import { holdfast, transaction } from '@holdfast/typeorm'
import Fastify from 'fastify'
import { DataSource, EntitySchema } from 'typeorm'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'

interface Order {
  id: number
  key: string
  cents: number
  status: 'open' | 'paid'
  payments: Payment[]
}

interface Payment {
  id: number
  key: string
  cents: number
  order: Order
}

// Classes with decorators work too. These are schemas, since Node itself only strips types.
const OrderEntity = new EntitySchema<Order>({
  name: 'Order',
  tableName: 'orders',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    key: { type: 'text', unique: true, select: false },
    cents: { type: 'int' },
    status: { type: 'text', default: 'open' },
  },
  relations: { payments: { type: 'one-to-many', target: 'Payment', inverseSide: 'order' } },
})

const PaymentEntity = new EntitySchema<Payment>({
  name: 'Payment',
  tableName: 'payments',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    key: { type: 'text', unique: true, select: false },
    cents: { type: 'int' },
  },
  relations: {
    order: { type: 'many-to-one', target: 'Order', joinColumn: { name: 'order_id' }, nullable: false },
  },
  uniques: [{ columns: ['order'] }],
})

const dataSource = new DataSource(
  holdfast({
    type: 'postgres',
    url: process.env.DATABASE_URL,
    entities: [OrderEntity, PaymentEntity],
    synchronize: true, // In your own service, migrations do this.
  }),
)
await dataSource.initialize()

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
  const order = await transaction(dataSource, async (manager) => {
    await manager.createQueryBuilder().insert().into(OrderEntity).values({ key, cents }).orIgnore().execute()
    return manager.findOneBy(OrderEntity, { key })
  })
  return reply.code(201).send(order)
})

app.post<Repeatable & OfOrder>('/orders/:id/pay', { schema: { headers, params } }, async (request) => {
  const key = request.headers['idempotency-key']
  const { id } = request.params
  // Runs again as a whole if its connection dies, so both rows are written or neither is. It reads in it what it saves.
  return transaction(dataSource, async (manager) => {
    const order = await manager.findOne(OrderEntity, { where: { id }, lock: { mode: 'pessimistic_write' } })
    if (!order) throw refusal(404, 'there is no such order')
    const payment = { key, order, cents: order.cents }
    await manager.createQueryBuilder().insert().into(PaymentEntity).values(payment).orIgnore().execute()
    const isMade = await manager.existsBy(PaymentEntity, { key, order: { id } })
    if (!isMade) throw refusal(409, 'paid already, or the key belongs to another payment')
    return manager.save(OrderEntity, { ...order, status: 'paid' })
  })
})

app.get<OfOrder>('/orders/:id', { schema: { params } }, async (request) => {
  const { id } = request.params
  // In a transaction, which runs again as a whole if its connection dies.
  const order = await transaction(dataSource, (manager) =>
    manager.findOne(OrderEntity, { where: { id }, relations: { payments: true } }),
  )
  if (!order) throw refusal(404, 'there is no such order')
  return order
})

// TypeORM calls the pool of the primary `master`.
app.get('/status', () => (dataSource.driver as PostgresDriver).master.status())

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
app.addHook('onClose', () => dataSource.destroy())
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void app.close())

await app.listen({ port: Number(process.env.PORT ?? 3000) })
