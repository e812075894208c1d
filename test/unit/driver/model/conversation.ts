import { Pool } from '@holdfast/core'
import fc from 'fast-check'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { vi } from 'vitest'
import { type ServerFault, serverFaults } from './server-faults.ts'
import { type Behaviour, UnrulyServer } from './unruly-server.ts'

// What doesn't wait for a timer happens within a few rounds of the event loop.
const ROUNDS = 4
const { setImmediate: setRealImmediate } = globalThis
/** How long each step may take. All time limits of the pool are shorter than a tenth of it. */
const DEADLINE_MILLIS = 60_000

const DEADLINES = { connectionTimeoutMillis: 2000, query_timeout: 500 }

/** What callers do with a pool, by name. */
const JOBS: Readonly<Record<string, (pool: pg.Pool) => Promise<unknown>>> = {
  query: (pool) => pool.query('select 1'),
  'with parameters': (pool) => pool.query('select $1::int', [1]),
  'again and again': async (pool) => {
    for (let time = 0; time < 3; time++) await pool.query('select $1::int', [time])
  },
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

/** One conversation: what some callers do with a server that makes one fault. */
export interface Conversation {
  readonly jobs: readonly string[]
  readonly max: number
  readonly ssl: boolean
  readonly behaviour: Behaviour
  readonly fault: ServerFault
  /** Whether each text is prepared as soon as it is sent with values. */
  readonly prepares: boolean
}

/** Its result. */
export interface Outcome {
  /** Errors that no code could have caught. */
  readonly uncaught: readonly unknown[]
  /** What else is wrong: a caller that was never told, a connection left open, a pool that serves no callers. */
  readonly complaints: readonly string[]
}

/** Random conversations; see {@link serverFaults} for `endless`. */
export function conversations(endless: boolean): fc.Arbitrary<Conversation> {
  return fc.record({
    jobs: fc.array(fc.constantFrom(...Object.keys(JOBS)), { minLength: 1, maxLength: 3 }),
    max: fc.integer({ min: 1, max: 2 }),
    ssl: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    behaviour: fc.record({
      tlsAnswer: fc.constantFrom('S', 'N', 'E', 'SS', '', 'HTTP/1.1', 'S\x16\x03\x01'),
      login: fc.constantFrom('trust', 'trust', 'trust', 'password', 'md5', 'sasl'),
      chunks: fc.oneof(fc.constantFrom('messages', 'one'), fc.integer({ min: 1, max: 7 })),
    }),
    fault: serverFaults(endless),
    prepares: fc.boolean(),
  }) as fc.Arbitrary<Conversation>
}

/** Runs a conversation on fake timers. */
export async function runConversation(
  conversation: Conversation,
  PoolClass: typeof pg.Pool = Pool as never,
): Promise<Outcome> {
  const { jobs, max, ssl, behaviour, fault, prepares } = conversation
  const server = new UnrulyServer(behaviour, fault)
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
    ...(PoolClass !== pg.Pool && prepares && { prepare: { threshold: 1 } }),
    ...(PoolClass !== pg.Pool && { logger: { debug: silent, info: silent, warn: silent, error: silent } }),
  })
  if (PoolClass === pg.Pool) {
    // The stock pool needs both listeners.
    pool.on('error', silent)
    pool.on('connect', (client) => client.on('error', silent))
  }
  const told = jobs.map((job) => (JOBS[job] as (typeof JOBS)[string])(pool).then(silent, silent))
  if (!(await isDoneInTime(Promise.all(told)))) complaints.push('a caller is never told')
  server.stopFaults()
  if (!ssl && behaviour.login !== 'sasl') {
    // A silent connection is only found out by the next caller that uses it, one caller for each connection. One that has
    // become silent under a reset takes longer than two callers wait.
    let isServed = false
    for (let attempt = 0; attempt <= max + 2 && !isServed; attempt++) {
      const next = pool.query('select 1').then(
        ({ rows }) => {
          isServed = rows?.length === 1 // After a repeated answer, the second one may be left.
        },
        () => {},
      )
      if (!(await isDoneInTime(next))) complaints.push('the next caller is never told')
    }
    if (!isServed) complaints.push('the pool serves no callers any more')
  }
  if (!(await isDoneInTime(pool.end()))) complaints.push('the pool never ends')
  await runEventLoop()
  if (server.connections > 0) complaints.push(`${server.connections} connections are left open`)
  return { uncaught: server.uncaught, complaints }
}

async function withClient(pool: pg.Pool, use: (client: pg.PoolClient) => Promise<unknown>): Promise<void> {
  const client = await pool.connect()
  try {
    await use(client)
  } finally {
    client.release()
  }
}

/** Whether a promise is settled before the deadline. */
async function isDoneInTime(promise: Promise<unknown>): Promise<boolean> {
  const startedAt = performance.now()
  let isDone = false
  void promise.then(() => {
    isDone = true
  })
  let idle = 0
  while (performance.now() - startedAt < DEADLINE_MILLIS && idle < 3) {
    await runEventLoop()
    if (isDone) return true
    if (vi.getTimerCount() > 0) vi.advanceTimersToNextTimer()
    else idle++
  }
  return isDone
}

async function runEventLoop(): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await new Promise<void>((resolve) => setRealImmediate(resolve))
}
