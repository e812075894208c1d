import diagnostics_channel from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { NullPool, Pool, type PoolEventType, type PoolOptions } from '@holdfast/core'
import { drizzle } from '@holdfast/drizzle'
import { HoldfastDialect } from '@holdfast/kysely'
import { holdfast as forTypeorm } from '@holdfast/typeorm'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { DataSource } from 'typeorm'
import { afterEach, beforeEach, describe, expect } from 'vitest'
import { test } from '../faults/support/aimed-test.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { freePort, until } from '../support/index.ts'
import { TYPES } from '../unit/telemetry/sample-events.ts'

const PASSWORD = 'S3cretPassword'
const PASSPHRASE = 'S3cretPassphrase'
const KEY = 'S3cretKey'
const SQL = 'S3cretStatement'
const VALUE = 'S3cretValue'
const SECRETS = [PASSWORD, PASSPHRASE, KEY, SQL, VALUE]

/** Everything that a careless logger would print of something. */
function printed(what: unknown): string {
  const seen = new WeakSet<object>()
  const once = (_key: string, value: unknown): unknown => {
    if (typeof value === 'bigint') return `${value}`
    if (typeof value !== 'object' || value === null) return value
    if (seen.has(value)) return undefined
    seen.add(value)
    return value
  }
  const stack = what instanceof Error ? `${what.stack} ${what.message}` : ''
  return [inspect(what, { depth: Number.POSITIVE_INFINITY }), JSON.stringify(what, once), stack].join('\n')
}

function expectNoSecretIn(what: unknown): void {
  const text = printed(what)
  expect(SECRETS.filter((secret) => text.includes(secret))).toEqual([])
}

/** Every message of the channels, at the moment of its publication. */
let told: Map<PoolEventType, string[]>
let hearers: (readonly [string, (message: unknown) => void])[]
/** What went to a logger, and to the process. */
let lines: string[]
const write = (line: string): void => void lines.push(line)
const logger = { debug: write, info: write, warn: write, error: write }
const hearWarning = (warning: Error): void => void lines.push(printed(warning))

beforeEach(() => {
  told = new Map()
  lines = []
  hearers = TYPES.map((type) => {
    const hear = (message: unknown): void => void told.set(type, [...(told.get(type) ?? []), printed(message)])
    return [`holdfast:${type}`, hear] as const
  })
  for (const [channel, hear] of hearers) diagnostics_channel.subscribe(channel, hear)
  process.on('warning', hearWarning)
})
afterEach(() => {
  for (const [channel, hear] of hearers) diagnostics_channel.unsubscribe(channel, hear)
  process.off('warning', hearWarning)
})

const statement = { text: `select $1::text as it, '${SQL}' as sql`, values: [VALUE] }

test('no event, log line or error of a pool in trouble has the password, a statement or a parameter', async ({
  cluster,
  aimed,
  aimedAt,
  applicationName,
}) => {
  await cluster.withAdmin((admin) => admin.query(`create role keeper login password '${PASSWORD}'`))
  await cluster.withAdmin((admin) => admin.query('grant all on entry to keeper'))
  const config = { ...aimedAt, user: 'keeper', password: PASSWORD, max: 2, logger, echo: 'debug' } as const
  const errors: unknown[] = []
  const pool = holdfast({ ...config, leakDetectionMillis: 1, name: 'secrets' })
  const fails = async (work: Promise<unknown>): Promise<void> => void errors.push(await rejection(work))

  expect((await pool.query(statement)).rows).toEqual([{ it: VALUE, sql: SQL }])
  // Lost while it runs.
  const cut = aimed.aim({ statement: new RegExp(SQL), point: 'on-reply' }, 'rst')
  await fails(pool.query({ ...statement, retryRead: false }))
  await cut.fired
  // Run again, by itself and as a whole.
  const again = aimed.aim({ statement: new RegExp(SQL), point: 'on-reply' }, 'rst')
  await pool.query({ ...statement, idempotent: true })
  await again.fired
  await pool.transaction(async (tx) => {
    if (tx.attempt === 1) aimed.aim({ statement: new RegExp(SQL), point: 'on-reply' }, 'rst')
    await tx.query(statement)
  })
  // A lost COMMIT, found out.
  const lost = aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
  await pool.transaction((tx) => tx.query('insert into entry values ($1)', [VALUE]))
  await lost.fired
  // Given up, released with a reason, timed out, reset.
  await fails(pool.query({ ...statement, text: `${statement.text}, pg_sleep(60)`, query_timeout: 50 } as never))
  const client = await pool.connect()
  await client.query('begin')
  const running = rejection(client.query(`select pg_sleep(60), '${SQL}'`))
  await until(() => told.has('connection-leak-suspected'), { what: 'the lease to be overdue' })
  await fails(pool.query({ ...statement, signal: AbortSignal.abort() } as never))
  client.release(true)
  errors.push(await running)
  await fails(client.query(statement))
  await cluster.terminateBackends({ applicationName })
  await until(() => told.has('pool-invalidated'), { what: 'the invalidation' })
  pool.invalidate(new Error('asked for'))
  await pool.dispose()
  await fails(pool.query(`select 1 / 0 as "${'x'}"`))
  await settles(pool.end(), 'end()')
  await fails(pool.query(statement))

  // Nobody is there; the wrong password; a server that goes away for good.
  const nowhere = { ...config, host: '127.0.0.1', port: await freePort(), connectionTimeoutMillis: 700 }
  for (const [options, text] of [
    [nowhere, 'no server'],
    [{ ...config, password: `${PASSWORD}, but wrong` }, 'a wrong password'],
    [{ ...config, database: 'nowhere' }, 'an unknown database'],
  ] as [PoolOptions, string][]) {
    await using other = holdfast({ prePing: false, ...options, name: text })
    await fails(other.query(statement))
    await fails(other.connect())
    expectNoSecretIn(other)
  }

  expect(errors.length).toBeGreaterThan(10)
  for (const error of errors) expectNoSecretIn(error)
  expect(lines.length).toBeGreaterThan(50)
  for (const line of lines) expect(SECRETS.filter((secret) => line.includes(secret))).toEqual([])
  const heard = [...told.values()].flat()
  expect(heard.filter((text) => SECRETS.some((secret) => text.includes(secret)))).toEqual([])
  expect([...told.keys()]).toEqual(
    expect.arrayContaining<PoolEventType>([
      'connection-opened',
      'connect-failed',
      'connection-leased',
      'connection-released',
      'connection-lost',
      'connection-retired',
      'connection-leak-suspected',
      'acquire-failed',
      'statement-retried',
      'transaction-retried',
      'commit-resolved',
      'recovered',
    ]),
  )
})

test('a message of a channel has the client when it is read, and not when it is printed', async ({ direct }) => {
  const pids: unknown[] = []
  const hear = (message: unknown): void => {
    pids.push((message as { connection: { client: { processID: number } } }).connection.client.processID)
    expect(Object.keys((message as { connection: object }).connection)).toEqual(['id', 'backendPid'])
  }
  diagnostics_channel.subscribe('holdfast:connection-leased', hear)
  try {
    await using pool = holdfast(direct)
    await using client = await pool.connect()
    expect(pids).toEqual([(client as unknown as { processID: number }).processID])
  } finally {
    diagnostics_channel.unsubscribe('holdfast:connection-leased', hear)
  }
})

describe('what a program may print of a pool', () => {
  const url = `postgres://keeper:${PASSWORD}@db.example:5433/app?application_name=orders`

  test('stock pg.Pool shows the password of a connection string', () => {
    expect(printed(new pg.Pool({ connectionString: url }))).toContain(PASSWORD)
  })

  test.for<[string, () => unknown]>([
    ['a pool', () => new Pool({ connectionString: url })],
    ['a pool of key words', () => new Pool({ connectionString: `host=h user=keeper password=${PASSWORD}` })],
    ['a pool by its password', () => new Pool({ host: 'h', password: PASSWORD })],
    ['a NullPool', () => new NullPool({ connectionString: url, password: PASSWORD })],
    ['a pool made from the options of another one', () => new Pool(new Pool({ connectionString: url }).options)],
    ['its options, spread', () => ({ ...new Pool({ connectionString: url, password: PASSWORD }).options })],
    ['its status and inspection', () => [new Pool({ connectionString: url }).status(), new Pool().inspect()]],
    ['a pool with a TLS key', () => new Pool({ host: 'h', ssl: { key: KEY, passphrase: PASSPHRASE, pfx: KEY } })],
    ['db.$client of Drizzle', () => drizzle(url).$client],
    ['a database of Drizzle', () => drizzle({ connection: { connectionString: url, password: PASSWORD } })],
    ["Kysely's dialect", () => new HoldfastDialect({ connectionString: url })],
    ['a database of Kysely', () => new Kysely({ dialect: new HoldfastDialect({ connectionString: url }) })],
  ])('what is printed has no password: %s', ([, make]) => {
    expectNoSecretIn(make())
  })

  test("what is printed of TypeORM's pools has no password", async ({ cluster }) => {
    const source = new DataSource(forTypeorm({ type: 'postgres', url: cluster.url }))
    await source.initialize()
    const { password } = new URL(cluster.url)
    const pool = (source.driver as unknown as { master: Pool }).master
    expect(password).not.toBe('')
    expect(printed(pool)).not.toContain(password)
    await source.destroy()
  })

  test('the options have the address when they are read, and can be used to connect', async ({ cluster }) => {
    await using pool = new Pool({ connectionString: cluster.url, ssl: cluster.config().ssl })
    const { options } = pool
    expect(options.connectionString).toBe(cluster.url)
    const { password } = new URL(cluster.url)
    const client = new pg.Client({ ...options, password })
    await client.connect()
    expect((await client.query('select 1 as it')).rows).toEqual([{ it: 1 }])
    await client.end()
  })

  test('hidden TLS options reach the driver, and clients that are made with pool.Client', () => {
    const ssl = { ca: 'the authority', key: KEY, passphrase: PASSPHRASE }
    const pool = new Pool({ host: 'h', ssl })
    const shown = pool.options.ssl as { ca: string; passphrase: string }
    expect([shown.ca, shown.passphrase, Object.keys(shown)]).toEqual(['the authority', PASSPHRASE, ['ca']])
    const { Client } = pool as unknown as { Client: typeof pg.Client }
    for (const config of [pool.options, { ...pool.options }])
      expect((new Client(config) as unknown as { ssl: unknown }).ssl).toBe(ssl)
  })

  test("Kysely's own dialect still cancels a query through a pool with a connection string", async ({ cluster }) => {
    await using pool = new Pool({ connectionString: cluster.url, ssl: cluster.config().ssl, max: 1 })
    const db = new Kysely({ dialect: new PostgresDialect({ pool: pool as never }) })
    const abort = new AbortController()
    const running = rejection(
      sql`select pg_sleep(60), 'to be cancelled'`.execute(db, {
        signal: abort.signal,
        inflightQueryAbortStrategy: 'cancel query',
      }),
    )
    const isRunning = async (): Promise<boolean> =>
      (
        await cluster.query(
          "select from pg_stat_activity where state = 'active' and query like '%to be cancelled%' and pid <> pg_backend_pid()",
        )
      ).length === 1
    await until(isRunning)
    abort.abort()
    await running
    await until(async () => !(await isRunning()), { what: 'the server to have cancelled it' })
  })
})

test('a name with line breaks, colours or marks of direction stays in its place', async ({ direct }) => {
  const name = 'orders] \n[holdfast:others 1] all is well\u001b[31m\u202e\u2028'
  await using pool = new Pool({ ...direct, name, logger, echo: 'debug' })
  await pool.query('select 1')
  const shown = String.raw`[holdfast:orders] \u000a[holdfast:others 1] all is well\u001b[31m\u202e\u2028 ${process.pid}] `
  expect(lines.length).toBeGreaterThan(2)
  for (const line of lines) expect(line.slice(0, shown.length)).toBe(shown)
  expect(pool.status().name).toBe(name)
})
