import { CommitOutcomeUnknownError, ConnectError, type PoolOptions, PoolTimeoutError } from '@holdfast/core'
import pg from 'pg'
import { expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/failover-test.ts'
import { holdfast } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

/** A pool that knows all of these servers, by a URL as libpq writes it. */
function listOf(clusters: readonly Cluster[], options: PoolOptions = {}): PoolOptions {
  const [first] = clusters as [Cluster]
  const url = new URL(first.url)
  const hosts = clusters.map(({ host, port }) => `${host}:${port}`).join()
  const connectionString = `postgres://${url.username}:${url.password}@${hosts}${url.pathname}${url.search}`
  return { connectionString, targetSessionAttrs: 'read-write', ...options }
}

test('stock pg.Pool takes no list of hosts', async ({ primary, standby }) => {
  const { connectionString } = listOf([standby, primary])
  const stock = new pg.Pool({ connectionString })
  // At the first query, and at once: not by a promise.
  expect(() => stock.query('select 1')).toThrow('Invalid URL')
  await stock.end()
})

test('a list leads to the server that suits, wherever it stands, and each connection shows where', async ({
  primary,
  standby,
}) => {
  await using writer = holdfast(listOf([standby, primary]))
  await writer.query("insert into paid values ('a')")
  expect(writer.inspect()).toMatchObject([{ host: primary.host, port: primary.port, role: 'primary' }])
  expect(writer.status().hosts).toMatchObject([{ role: 'standby' }, { role: 'primary', failure: undefined }])
  expect(`${writer.status()}`).toMatch(/ {2}Hosts: \S+ standby, \S+ primary$/)

  await using reader = holdfast(listOf([primary, standby], { targetSessionAttrs: 'prefer-standby' }))
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
  const logger = { debug() {}, info: (line: string) => void lines.push(line), warn() {}, error() {} }
  await using pool = holdfast(listOf([primary, standby], { max: 6, echo: true, logger }))
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
})

test('callers wait while no host takes writes, and the error names the state of each', async ({ primary, standby }) => {
  await using pool = holdfast(listOf([primary, standby], { connectionTimeoutMillis: 1500 }))
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
