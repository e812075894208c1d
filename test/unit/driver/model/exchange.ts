import { Pool } from '@holdfast/core'
import fc from 'fast-check'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { vi } from 'vitest'
import { type Mishap, mishaps } from './mishaps.ts'
import { type Manners, UnrulyServer } from './unruly-server.ts'

// Whatever hangs on a moment happens before the event loop has gone round a few times.
const ROUNDS = 4
const { setImmediate: setRealImmediate } = globalThis
/** How long each step of a job may take: all deadlines are shorter than a tenth of it. */
const DEADLINE_MILLIS = 60_000

const DEADLINES = { connectionTimeoutMillis: 2000, query_timeout: 500 }

/** What callers do with a pool. */
const JOBS: Readonly<Record<string, (pool: pg.Pool) => Promise<unknown>>> = {
  query: (pool) => pool.query('select 1'),
  'with parameters': (pool) => pool.query('select $1::int', [1]),
  'by name': (pool) => pool.query({ name: 'one', text: 'select $1::int', values: [1] }),
  'with a callback': (pool) => new Promise((resolve) => pool.query('select 1', () => resolve(undefined))),
  several: (pool) => pool.query('select 1; select 2'),
  nothing: (pool) => pool.query(''),
  failing: (pool) => pool.query('select fail'),
  transaction: (pool) =>
    withClient(pool, async (client) => {
      await client.query('begin')
      await client.query('insert into entry values (1)')
      await client.query('commit')
    }),
  'failing transaction': (pool) =>
    withClient(pool, async (client) => {
      await client.query('begin')
      await client.query('select fail').catch(() => {})
      await client.query('rollback')
    }),
  'at once': (pool) =>
    withClient(pool, (client) => Promise.all([client.query('select 1'), client.query('select $1::int', [2])])),
  cursor: (pool) =>
    withClient(pool, async (client) => {
      const cursor = client.query(new Cursor('select 1'))
      await cursor.read(10)
      await cursor.close()
    }),
  'row by row': (pool) =>
    withClient(
      pool,
      (client) =>
        new Promise((resolve, reject) => {
          const query = client.query(new pg.Query('select 1'))
          query.on('row', () => {})
          query.on('end', resolve).on('error', reject)
        }),
    ),
}

/** One exchange: what some callers want of a server that goes wrong once. */
export interface Exchange {
  readonly jobs: readonly string[]
  readonly max: number
  readonly ssl: boolean
  readonly manners: Manners
  readonly mishap: Mishap
}

/** What came of it. */
export interface Outcome {
  /** What nobody could have caught. */
  readonly uncaught: readonly unknown[]
  /** What else is wrong: who was never told, what was left open, whether the pool doesn't serve any more. */
  readonly complaints: readonly string[]
}

/** Exchanges; see {@link mishaps} for those that are `endless`. */
export function exchanges(endless: boolean): fc.Arbitrary<Exchange> {
  return fc.record({
    jobs: fc.array(fc.constantFrom(...Object.keys(JOBS)), { minLength: 1, maxLength: 3 }),
    max: fc.integer({ min: 1, max: 2 }),
    ssl: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    manners: fc.record({
      tlsAnswer: fc.constantFrom('S', 'N', 'E', 'SS', '', 'HTTP/1.1', 'S\x16\x03\x01'),
      login: fc.constantFrom('trust', 'trust', 'trust', 'password', 'md5', 'sasl'),
      chunks: fc.oneof(fc.constantFrom('messages', 'one'), fc.integer({ min: 1, max: 7 })),
    }),
    mishap: mishaps(endless),
  }) as fc.Arbitrary<Exchange>
}

/** Has an exchange happen, on fake timers. */
export async function happen(exchange: Exchange, PoolClass: typeof pg.Pool = Pool as never): Promise<Outcome> {
  const { jobs, max, ssl, manners, mishap } = exchange
  const server = new UnrulyServer(manners, mishap)
  const complaints: string[] = []
  const silent = (): void => {}
  const pool = new PoolClass({
    host: 'db.example',
    user: 'app',
    password: 'secret',
    database: 'app',
    ssl: ssl && { rejectUnauthorized: false },
    stream: server.makeSocket as never,
    max,
    ...DEADLINES,
    ...(PoolClass !== pg.Pool && { logger: { debug: silent, info: silent, warn: silent, error: silent } }),
  })
  if (PoolClass === pg.Pool) {
    // It asks for both.
    pool.on('error', silent)
    pool.on('connect', (client) => client.on('error', silent))
  }
  const told = jobs.map((job) => (JOBS[job] as (typeof JOBS)[string])(pool).then(silent, silent))
  if (!(await settles(Promise.all(told)))) complaints.push('a caller is never told')
  server.calmDown()
  if (!ssl && manners.login !== 'sasl') {
    // Of silence the next callers learn, one for each connection.
    let isServed = false
    for (let attempt = 0; attempt <= max && !isServed; attempt++) {
      const next = pool.query('select 1').then(
        ({ rows }) => {
          isServed = rows?.length === 1 // Of what was said twice the first half is left.
        },
        () => {},
      )
      if (!(await settles(next))) complaints.push('the next caller is never told')
    }
    if (!isServed) complaints.push('nobody is served any more')
  }
  if (!(await settles(pool.end()))) complaints.push('the pool never ends')
  await letItHappen()
  if (server.connections > 0) complaints.push(`${server.connections} connections are left open`)
  return { uncaught: server.uncaught, complaints }
}

async function withClient(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<unknown>): Promise<void> {
  const client = await pool.connect()
  try {
    await work(client)
  } finally {
    client.release()
  }
}

/** Whether a promise does before the deadline. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  const startedAt = performance.now()
  let isSettled = false
  void promise.then(() => {
    isSettled = true
  })
  let idle = 0
  while (performance.now() - startedAt < DEADLINE_MILLIS && idle < 3) {
    await letItHappen()
    if (isSettled) return true
    if (vi.getTimerCount() > 0) vi.advanceTimersToNextTimer()
    else idle++
  }
  return isSettled
}

async function letItHappen(): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await new Promise<void>((resolve) => setRealImmediate(resolve))
}
