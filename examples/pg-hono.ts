import { isDisconnect, Pool } from '@holdfast/core'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { validator } from 'hono/validator'

interface Order {
  readonly id: number
  readonly cents: number
  readonly status: 'open' | 'paid'
}

const pool = new Pool({ connectionString: process.env.DATABASE_URL })

await pool.query(`
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

app.post('/orders', repeatable, newOrder, async (c) => {
  const { key } = c.req.valid('header')
  const { cents } = c.req.valid('json')
  const order = await pool.transaction(async (tx) => {
    await tx.query('insert into orders (key, cents) values ($1, $2) on conflict (key) do nothing', [key, cents])
    const { rows } = await tx.query<Order>('select id, cents, status from orders where key = $1', [key])
    return rows[0]
  })
  return c.json(order, 201)
})

app.post('/orders/:id{[0-9]+}/pay', repeatable, async (c) => {
  const { key } = c.req.valid('header')
  const id = c.req.param('id')
  // Runs again as a whole if its connection dies, so both rows are written or neither is.
  const order = await pool.transaction(async (tx) => {
    const { rows: found } = await tx.query<Order>('select cents from orders where id = $1 for update', [id])
    if (!found[0]) throw new HTTPException(404, { message: 'there is no such order' })
    await tx.query('insert into payments (key, order_id, cents) values ($1, $2, $3) on conflict do nothing', [
      key,
      id,
      found[0].cents,
    ])
    const { rowCount } = await tx.query('select from payments where key = $1 and order_id = $2', [key, id])
    if (!rowCount) throw new HTTPException(409, { message: 'paid already, or the key belongs to another payment' })
    const { rows } = await tx.query<Order>(
      "update orders set status = 'paid' where id = $1 returning id, cents, status",
      [id],
    )
    return rows[0]
  })
  return c.json(order)
})

app.get('/orders/:id{[0-9]+}', async (c) => {
  const id = c.req.param('id')
  // In a transaction, so that both reads see the same moment. It runs again as a whole if its connection dies.
  const order = await pool.transaction(
    async (tx) => {
      const { rows: orders } = await tx.query<Order>('select id, cents, status from orders where id = $1', [id])
      const { rows: payments } = await tx.query('select id, cents from payments where order_id = $1', [id])
      return orders[0] && { ...orders[0], payments }
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
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
