import { ConnectError, ConnectionLostError } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { dataRow, int16, message, rowDescription, text } from '../unit/driver/model/messages.ts'
import { Application } from './support/application.ts'
import { test as base } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { InterjectingProxy } from './support/interjecting-proxy.ts'
import { backendPid, holdfast, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const test = base
  .extend('interjecting', async ({ cluster }, { onCleanup }) => {
    const proxy = await InterjectingProxy.start(cluster)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })
  .extend('interjected', ({ interjecting, direct }) => interjecting.config(direct))

/** What a server may send during a statement, and the error that results. */
const IN_A_STATEMENT = [
  { what: 'a row description of -1 fields', bytes: message('T', int16(-1)), told: /Invalid array length/ },
  {
    what: 'an unknown authentication request',
    bytes: message('R', 4711),
    told: /Unknown authenticationOk message type 4711/,
  },
  { what: 'a message of an unknown kind', bytes: message('y', 'what'), told: /received invalid response: 79/ },
  {
    what: 'a message that is too short for itself',
    bytes: Buffer.from('Z\0\0\0\x03', 'latin1'),
    told: /claims to be 3 bytes/,
  },
  {
    what: 'a message of two gigabytes',
    bytes: Buffer.from('C\x7f\xff\xff\xff', 'latin1'),
    told: /claims to be 2147483647 bytes/,
  },
  { what: 'a row of columns that it has not', bytes: message('D', int16(9)), told: /out of range/ },
  // By these the driver alone is held in an endless loop.
  { what: 'an error without its end', bytes: message('E', text('SERROR'), 'C22012'), told: /without an end/ },
  { what: 'an error without the end of its fields', bytes: message('E', text('SERROR')), told: /without an end/ },
] as const
const WITHOUT_A_QUESTION = [
  { what: 'the end of a statement', bytes: message('C', text('SELECT 1')), told: /unexpected commandComplete message/ },
  { what: 'a row', bytes: dataRow('1'), told: /unexpected dataRow message/ },
  { what: 'a description of rows', bytes: rowDescription('it'), told: /unexpected rowDescription message/ },
  { what: 'the question for data', bytes: message('G', '\0', int16(0)), told: /unexpected copyInResponse message/ },
  ...IN_A_STATEMENT,
] as const
const ENDLESS = /without its end|without the end/

describe('stock pg.Pool: the process ends', () => {
  test.for(
    WITHOUT_A_QUESTION.filter(({ what }) => !ENDLESS.test(what) && !/unknown kind|for itself|two giga/.test(what)),
  )('stock pg.Pool: the process ends by $what', async ({ bytes, told }, { interjecting, interjected }) => {
    await using application = await Application.start('stock', interjected)
    await application.listen()
    await application.connect()
    interjecting.interject(bytes)
    expect(await application.ends()).toMatchObject({ code: 1, stderr: expect.stringMatching(told) })
  })
})

test('stock pg.Pool: an error without its end holds the process in an endless loop', async ({
  interjecting,
  interjected,
}) => {
  await using application = await Application.start('stock', interjected)
  await application.listen()
  await application.connect()
  interjecting.interject(IN_A_STATEMENT[6].bytes)
  const left = new Promise<void>((resolve) => interjecting.clients[0]?.once('close', resolve))
  const answered = application.clientQuery('select 1').then(
    () => 'answered',
    () => 'answered',
  )
  // It hears of no statement, and of no end of its connection.
  interjecting.clients[0]?.destroy()
  await left
  const patience = until(async () => false, { what: 'never', timeoutMillis: 1000 }).catch(() => 'silent')
  expect(await Promise.race([answered, patience])).toBe('silent')
})

describe.each(IN_A_STATEMENT)('during a statement the server sends $what', ({ bytes, told }) => {
  test.for(WAYS)(
    'Holdfast: a caller gets an error in place of nonsense, others keep their connections, and the slot is free, through $way',
    async ({ run }, { cluster, interjecting, interjected }) => {
      await using pool = holdfast({ ...interjected, max: 2, prePing: { idleMillis: 60_000 } })
      const pids = await warmUp(pool, 2)
      await using lock = await holdLock(cluster)
      const settled = Promise.allSettled(
        [1, 2].map(() => run(pool, `select pg_backend_pid() as pid from ${lock.wait}`)),
      )
      await until(async () => (await busy(cluster, interjected.application_name)) === 2, { what: 'both to run' })
      interjecting.interject(bytes)
      await until(() => pool.totalCount < 2, { what: 'the loss' })
      await lock.release()
      const results = await settles(settled, 'the statements')
      const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
      const [survivor] = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.rows[0].pid] : []))
      expect(errors).toHaveLength(1)
      expect(errors[0]).toBeInstanceOf(ConnectionLostError)
      expect(errors[0]).toMatchObject({
        phase: 'query',
        code: '08P01',
        cause: expect.objectContaining({ message: expect.stringMatching(told) }),
      })
      const later = await warmUp(pool, 2)
      expect(later).toContain(survivor)
      expect(later.filter((pid) => pids.includes(pid))).toEqual([survivor])
      await expectHealthy(pool, cluster, interjected.application_name)
    },
  )
})

describe.each(WITHOUT_A_QUESTION)('outside of a statement the server sends $what', ({ bytes, told }) => {
  test('Holdfast: nonsense between two statements gives their caller an error', async ({
    cluster,
    interjecting,
    interjected,
  }) => {
    await using pool = holdfast({ ...interjected, max: 2 })
    const [neighbour] = await warmUp(pool, 1)
    const others = await pool.connect()
    const client = await pool.connect()
    await client.query('begin')
    interjecting.interject(bytes)
    const lost = new Promise((resolve) => client.once('end', resolve))
    await settles(lost, 'the loss')
    expect(await rejection(client.query('select 1'))).toMatchObject({
      name: 'ConnectionLostError',
      code: '08P01',
      phase: 'transaction',
      cause: expect.objectContaining({ message: expect.stringMatching(told) }),
    })
    client.release()
    expect(await backendPid(others)).toBe(neighbour)
    others.release()
    expect((await warmUp(pool, 2))[0]).toBe(neighbour)
    await expectHealthy(pool, cluster, interjected.application_name)
  })

  test('Holdfast: nonsense while idle gives no caller an error', async ({ cluster, interjecting, interjected }) => {
    await using pool = holdfast({ ...interjected, max: 1 })
    const [pid] = await warmUp(pool, 1)
    interjecting.interject(bytes)
    await until(() => pool.totalCount === 0, { what: 'the connection to leave' })
    expect(await warmUp(pool, 1)).not.toEqual([pid])
    await expectHealthy(pool, cluster, interjected.application_name)
  })

  test('Holdfast: nonsense in a login fails one attempt, not the caller', async ({ interjecting, interjected }) => {
    await using pool = holdfast({ ...interjected, max: 1, connectRetry: { minTimeout: 1, maxTimeout: 1 } })
    await warmUp(pool, 1)
    pool.invalidate()
    interjecting.greeting = Buffer.concat([bytes, message('R', 4711)])
    const served = pool.query('select 1 as one')
    await until(() => interjecting.greeted > 1, { what: 'a second attempt' })
    interjecting.greeting = undefined
    expect((await settles(served, 'the statement')).rows).toEqual([{ one: 1 }])
  })
})

test('Holdfast: what was never a PostgreSQL server is reported at once', async ({ interjecting, interjected }) => {
  await using pool = holdfast({ ...interjected, ssl: false })
  interjecting.greeting = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')
  const error = await rejection(pool.query('select 1'))
  expect(error).toBeInstanceOf(ConnectError)
  expect(error).toMatchObject({ message: expect.stringContaining('The server sent what is no message'), code: '08P01' })
  await until(() => interjecting.clients.length === 0, { what: 'the socket to be closed' })
})

test('Holdfast: an error without fields has a message that says so', async ({ cluster, interjecting, interjected }) => {
  await using pool = holdfast({ ...interjected, max: 1 })
  await using lock = await holdLock(cluster)
  const failing = rejection(pool.query(`select from ${lock.wait}`))
  await until(async () => (await busy(cluster, interjected.application_name)) === 1, { what: 'it to run' })
  interjecting.interject(message('E', Buffer.alloc(1)))
  expect(await failing).toMatchObject({
    message: expect.stringContaining('The server sent an error without a message'),
  })
})

test('Holdfast: a cancel request that is answered with nonsense ends nothing', async ({
  cluster,
  interjecting,
  interjected,
}) => {
  await using pool = holdfast({ ...interjected, max: 1 })
  const giveUp = new AbortController()
  const failing = rejection(pool.query({ text: 'select from pg_sleep(100)', signal: giveUp.signal } as never))
  await until(async () => (await busy(cluster, interjected.application_name)) === 1, { what: 'it to run' })
  interjecting.greeting = message('T', int16(-1))
  giveUp.abort(new Error('given up'))
  expect(await failing).toMatchObject({ message: 'given up' })
  await until(() => interjecting.greeted === 1, { what: 'the request' })
  interjecting.greeting = undefined
  expect((await settles(pool.query('select 1 as one'), 'the next statement')).rows).toEqual([{ one: 1 }])
})

test.for([
  { what: 'two results', bytes: Buffer.concat([rowDescription('xid'), dataRow(null), message('C', text('SELECT 1'))]) },
  { what: 'no row', bytes: Buffer.concat([rowDescription('xid'), message('C', text('SELECT 0')), message('Z', 'I')]) },
  {
    what: 'numbers of 100,000 digits',
    bytes: Buffer.concat([
      rowDescription('xid', 'pid', 'server'),
      dataRow('9'.repeat(100_000), '9'.repeat(100_000), '9'.repeat(100_000)),
      message('C', text('SELECT 1')),
      message('Z', 'I'),
    ]),
  },
])(
  'Holdfast: its own first question, answered with $what, makes the transaction unidentified',
  async ({ bytes }, { interjecting, interjected }) => {
    await using pool = holdfast({ ...interjected, max: 1 })
    await warmUp(pool, 1)
    // In front of the answer to the question that rides in front of BEGIN; and then the answers are one too many.
    const client = await pool.connect()
    const begun = client.query('begin').then(
      () => 'begun',
      () => 'lost',
    )
    interjecting.interject(bytes)
    expect(['begun', 'lost']).toContain(await settles(begun, 'BEGIN'))
    client.release(true)
    expect((await settles(pool.query('select 1 as one'), 'the next statement')).rows).toEqual([{ one: 1 }])
  },
)

/** A lock that statements can wait for, as long as another session holds it. */
async function holdLock(
  cluster: Cluster,
): Promise<AsyncDisposable & { readonly wait: string; release(): Promise<void> }> {
  const holder = new pg.Client(cluster.config())
  await holder.connect()
  await holder.query('select pg_advisory_lock(11)')
  const release = async (): Promise<void> => {
    await holder.query('select pg_advisory_unlock_all()')
  }
  return { wait: 'pg_advisory_xact_lock_shared(11)', release, [Symbol.asyncDispose]: () => holder.end() }
}

/** How many statements run that don't end by themselves. */
async function busy(cluster: Cluster, applicationName: string): Promise<number> {
  const sql = `select from pg_stat_activity where application_name = $1 and state = 'active' and query ~ 'from pg_'`
  return (await cluster.query(sql, [applicationName])).length
}
