import cluster, { type Worker } from 'node:cluster'
import { isDisconnect, Pool } from '@holdfast/core'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const WORKERS = 2
/** The most connections of this service, in all processes together. */
const CONNECTIONS = 10

const connectionString = process.env.DATABASE_URL

if (cluster.worker) work(cluster.worker)
else await lead()

async function lead(): Promise<void> {
  const pool = new Pool({ connectionString, application_name: 'shop primary' })
  await pool.query('create table if not exists orders (key text primary key, cents integer not null)')
  // Its connections would count beside those of the workers. To use the pool later, call `pool.dispose()` instead.
  await pool.end()

  let isStopping = false
  cluster.on('exit', () => isStopping || cluster.fork())
  for (let worker = 1; worker <= WORKERS; worker++) cluster.fork()

  const stop = (): void => {
    isStopping = true
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM')
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, stop)
}

function work(worker: Worker): void {
  const name = `worker-${worker.id}`
  const pool = new Pool({
    connectionString,
    // `name` is for the logs, `application_name` for pg_stat_activity: both show whose connection it is.
    name,
    application_name: `shop ${name}`,
    max: Math.floor(CONNECTIONS / WORKERS),
  })

  const app = new Hono()

  // During shutdown, clients with keep-alive connections are told to close them.
  app.use(async (c, next) => {
    await next()
    if (!server.listening) c.header('connection', 'close')
  })

  app.post('/orders', async (c) => {
    const key = c.req.header('idempotency-key')
    if (!key) return c.json({ message: 'the header Idempotency-Key is missing' }, 400)
    const { cents } = await c.req.json()
    await pool.transaction((tx) =>
      tx.query('insert into orders (key, cents) values ($1, $2) on conflict do nothing', [key, cents]),
    )
    return c.json({ key, worker: name }, 201)
  })

  app.get('/workers', async (c) => {
    const { rows } = await pool.query(`
      select application_name, array_agg(pid) as pids from pg_stat_activity
      where application_name like 'shop %' group by application_name order by application_name`)
    return c.json({ worker: name, status: pool.status(), connections: pool.inspect(), sessions: rows })
  })

  app.onError((error, c) => {
    if (isDisconnect(error)) return c.json({ message: 'outcome unknown: repeat it' }, 503, { 'retry-after': '1' })
    console.error(error)
    return c.json({ message: 'internal error' }, 500)
  })

  const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
    console.log(`${name} (process ${process.pid}) listening on http://localhost:${port}`)
  })

  server.once('close', () => void pool.end().then(() => worker.disconnect()))
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.close())
}
