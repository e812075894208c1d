import { CommitOutcomeUnknownError, ConnectError, PoolTimeoutError } from '@holdfast/core'
import pg from 'pg'
import { expect } from 'vitest'
import { AimedProxy, FaultProxy, until } from '../support/index.ts'
import { test } from './support/failover-test.ts'
import { listOf } from './support/host-list.ts'
import { holdfast } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

test('stock pg.Pool takes no list of hosts', async ({ primary, standby }) => {
  const { connectionString } = listOf([standby, primary], primary)
  const stock = new pg.Pool({ connectionString })
  // At the first query, and at once: not by a promise.
  expect(() => stock.query('select 1')).toThrow('Invalid URL')
  await stock.end()
})

test('a list leads to the server that suits, wherever it stands, and each connection shows where', async ({
  primary,
  standby,
}) => {
  await using writer = holdfast(listOf([standby, primary], primary))
  await writer.query("insert into paid values ('a')")
  expect(writer.inspect()).toMatchObject([{ host: primary.host, port: primary.port, role: 'primary' }])
  expect(writer.status().hosts).toMatchObject([{ role: 'standby' }, { role: 'primary', failure: undefined }])
  expect(`${writer.status()}`).toMatch(/ {2}Hosts: \S+ standby, \S+ primary$/)

  await using reader = holdfast(listOf([primary, standby], primary, { targetSessionAttrs: 'prefer-standby' }))
  const asked = 'select pg_is_in_recovery() as is_standby'
  expect((await reader.query(asked)).rows).toEqual([{ is_standby: true }])

  // A single server that doesn't suit isn't taken in silence.
  const only = { ...standby.config(), targetSessionAttrs: 'read-write', connectionTimeoutMillis: 500 } as const
  await using wrong = holdfast(only)
  const error = await rejection(wrong.query('select 1'))
  expect(error).toBeInstanceOf(PoolTimeoutError)
  expect((error as Error).message).toContain('the server is in hot standby, and targetSessionAttrs is read-write')
})

test('a wrong password is final, and the next host is not asked', async ({ primary, standby }) => {
  const hosts = [
    { host: primary.host, port: primary.port, password: 'wrong' },
    { host: standby.host, port: standby.port },
  ]
  await using pool = holdfast({ ...primary.config(), hosts })
  const error = await rejection(pool.query('select 1'))
  expect(error).toBeInstanceOf(ConnectError)
  expect(error).toMatchObject({ code: '28P01', endpoint: { port: primary.port } })
})

test('the promotion of the standby costs no transaction and no read an error, and is told once', async ({
  primary,
  standby,
}) => {
  const lines: string[] = []
  const note = (line: string): void => void lines.push(line)
  const logger = { debug() {}, info: note, warn: note, error() {} }
  await using pool = holdfast(listOf([primary, standby], primary, { max: 6, echo: true, logger }))
  let isOver = false
  const errors: unknown[] = []
  const written: string[] = []
  const write = async (caller: number): Promise<void> => {
    for (let number = 0; !isOver; number++) {
      const id = `${caller} ${number}`
      try {
        await pool.transaction((tx) => tx.query('insert into paid values ($1)', [id]))
        written.push(id)
      } catch (error) {
        // With asynchronous replication nothing can tell what became of a COMMIT that was lost with its server.
        if (!(error instanceof CommitOutcomeUnknownError)) errors.push(error)
      }
    }
  }
  const read = async (): Promise<void> => {
    while (!isOver) await pool.query('select count(*) from paid').catch((error) => errors.push(error))
  }
  const callers = Promise.all([write(1), write(2), write(3), read(), read()])
  await until(() => written.length > 50)
  await primary.stop('immediate')
  await standby.promote()
  const before = written.length
  await until(() => written.length > before + 50)
  isOver = true
  await settles(callers, 'the callers')
  expect(errors).toEqual([])
  expect(new Set(pool.inspect().map(({ port }) => port))).toEqual(new Set([standby.port]))
  expect(pool.options).toMatchObject({ host: standby.host, port: standby.port })
  const told = lines.filter((line) => line.includes('Connecting to'))
  expect(told).toEqual([
    expect.stringContaining(`:${standby.port} (primary), no longer to ${primary.host}:${primary.port}`),
  ])
  const found = await standby.query<{ id: string }>('select id from paid')
  const doubled = found.length - new Set(found.map(({ id }) => id)).size
  expect(doubled).toBe(0)

  // The former primary comes back, and takes writes: nothing is written where the promotion was missed.
  await primary.start()
  await standby.stop('immediate')
  const error = await rejection(pool.connect({ connectionTimeoutMillis: 1500 }))
  expect((error as Error).message).toMatch(/takes writes on timeline 00000001, and another one .* on timeline 00000002/)
  expect(lines.filter((line) => line.includes('takes writes on timeline 00000001, although'))).toHaveLength(1)
})

test('a primary that is silent is not waited for, and its connections are given up', async ({ primary, standby }) => {
  await using address = await FaultProxy.start(primary)
  const options = { hostPatienceMillis: 300, watch: { silentMillis: 200, timeoutMillis: 300 } }
  await using pool = holdfast(listOf([address, standby], primary, options))
  const held = await pool.connect()
  await held.query('select 1')
  address.swallow()
  // The silent server may be at work, as far as anything shows, until another one has been promoted.
  const silent = unattended(held.query("insert into paid values ('b')"))
  await standby.promote()
  expect(await settles(pool.query("insert into paid values ('a')"), 'the write')).toMatchObject({ rowCount: 1 })
  expect(await standby.query('select from paid')).toHaveLength(1)
  expect(await rejection(silent)).toMatchObject({ code: '08006', commitOutcome: 'unknown' })
  held.release()
  // Others don't wait for it either.
  await Promise.all(Array.from({ length: 5 }, () => pool.query('select pg_sleep(0.05)')))
  expect(pool.status().hosts).toMatchObject([
    { failure: expect.stringContaining('no answer within') },
    { role: 'primary' },
  ])
})

test('a primary that is silent is given up once another one was promoted, though every connection waits for it', async ({
  primary,
  standby,
}) => {
  await using address = await FaultProxy.start(primary)
  const options = { max: 1, hostPatienceMillis: 300, watch: { silentMillis: 200, timeoutMillis: 300 } }
  await using pool = holdfast(listOf([address, standby], primary, options))
  await pool.query('select 1')
  address.swallow()
  const reading = unattended(pool.query('select 1 as answered'))
  await standby.promote()
  expect(await settles(reading, 'the read')).toMatchObject({ rows: [{ answered: 1 }] })
})

test('a COMMIT that was lost with its host is unknown as soon as another host has been promoted', async ({
  primary,
  standby,
}) => {
  await using address = await AimedProxy.start(primary)
  await using pool = holdfast(listOf([address, standby], primary))
  await pool.query('select 1')
  const paid = unattended(pool.transaction((tx) => tx.query("insert into paid values ('a')")))
  await address.aim({ statement: /^commit$/i, point: 'on-reply' }, async () => {
    await primary.stop('immediate')
    await standby.promote()
    return 'rst'
  }).fired
  expect(await rejection(settles(paid, 'the payment'))).toMatchObject({
    code: '08007',
    reason: 'the server has failed over: timeline 00000001 has become 00000002',
  })
  await pool.query("insert into paid values ('b')")
})

test('who listens hears the promoted host, though the session at the former primary lives', async ({
  primary,
  standby,
}) => {
  await using address = await FaultProxy.start(primary)
  await using pool = holdfast(listOf([address, standby], primary))
  const payloads: string[] = []
  const gaps: unknown[] = []
  await pool.listen('orders', (payload) => payloads.push(payload), { onReconnect: (gap) => gaps.push(gap) })
  const held = await pool.connect()
  address.refuse()
  await standby.promote()
  await pool.query('select 1')
  await until(() => gaps.length === 1)
  await pool.query("select pg_notify('orders', 'from the promoted one')")
  await until(() => payloads.length === 1)
  held.release()
})

test('callers wait while no host takes writes, and the error names the state of each', async ({ primary, standby }) => {
  await using pool = holdfast(listOf([primary, standby], primary, { connectionTimeoutMillis: 1500 }))
  await pool.query('select 1')
  await primary.stop('immediate')
  await until(() => pool.totalCount === 0)
  const error = await rejection(pool.query('select 1'))
  expect(error).toBeInstanceOf(PoolTimeoutError)
  expect((error as Error).message).toMatch(
    new RegExp(`:${primary.port} \\(connect ECONNREFUSED[^;]*; \\S+:${standby.port} standby`),
  )
  const written = unattended(pool.query("insert into paid values ('a')"))
  await until(() => pool.status().waiting === 1)
  await standby.promote()
  expect(await settles(written, 'the write')).toMatchObject({ rowCount: 1 })
})
