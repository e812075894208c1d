import { expect, test } from 'vitest'
import { Connector } from '../../../packages/core/src/connection/connector.ts'
import type { LeasedClient } from '../../../packages/core/src/connection/physical-client.ts'
import { type FakeBackend, FakeServer, serverError } from '../../support/fake-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const STALE = { ...serverError('0A000', 'cached plan must not change result type') }
const CONFIG = { name: 'x', text: 'select 1' }

interface Fixture {
  readonly client: LeasedClient
  readonly backend: FakeBackend
}

/** A leased client whose driver believes in a prepared statement that the server finds stale at Bind. */
async function withStaleStatement(): Promise<Fixture> {
  const clock = new FakeClock()
  const server = new FakeServer()
  const connector = new Connector(
    {
      clientConfig: () => ({}),
      Client: server.Client,
      connectionTimeoutMillis: 30_000,
      queryTimeoutMillis: Number.POSITIVE_INFINITY,
      allowExitOnIdle: false,
      clientPerLease: true,
      clientConnectionCheckMillis: 0,
      commits: undefined,
      onConnect: undefined,
      verify: undefined,
    },
    clock,
  )
  const connection = connector.make({ onLost: () => {}, onReleased: () => {} })
  void connector.logIn(connection)
  await clock.advance(0)
  connection.startLease(clock.now())
  const backend = server.backend()
  backend.wire.parsedStatements.x = CONFIG.text
  // Bound without Parse, a statement has no text for this server.
  backend.failures.set('', STALE)
  return { client: connection.client, backend }
}

test('a stale statement is parsed and run again before its caller is told', async () => {
  const { client, backend } = await withStaleStatement()
  expect(await client.query(CONFIG)).toMatchObject({ command: 'select' })
  expect(backend.received).toEqual(['', CONFIG.text])
})

test('a stale statement whose caller gave up before the error came is not run again', async () => {
  const { client, backend } = await withStaleStatement()
  const caller = new AbortController()
  backend.silent = true
  const statement = client.query({ ...CONFIG, signal: caller.signal } as never)
  caller.abort()
  await expect(statement).rejects.toMatchObject({ name: 'AbortError' })
  backend.answer()
  expect(backend.received).toEqual([''])
})

test('a stale statement whose caller gives up before the server is ready again is taken back', async () => {
  const { client, backend } = await withStaleStatement()
  const caller = new AbortController()
  backend.holdsReadyForQuery = true
  backend.silent = true
  const statement = client.query({ ...CONFIG, signal: caller.signal } as never)
  backend.answer()
  caller.abort()
  await expect(statement).rejects.toMatchObject({ name: 'AbortError' })
  backend.readyForQuery()
  expect(backend.received).toEqual([''])
})

test('a statement that fails when it was parsed again fails with that error', async () => {
  const { client, backend } = await withStaleStatement()
  backend.failures.set(CONFIG.text, serverError('42P01', 'relation does not exist'))
  await expect(client.query(CONFIG)).rejects.toMatchObject({ code: '42P01' })
  expect(backend.received).toEqual(['', CONFIG.text])
})

test('a statement whose name is taken on another session of a pooler runs without a name, and is given up then', async () => {
  const { client, backend } = await withStaleStatement()
  backend.failures.set('', serverError('26000', 'prepared statement "x" does not exist'))
  backend.failures.set(CONFIG.text, serverError('42P05', 'prepared statement "x" already exists'))
  await expect(client.query(CONFIG)).rejects.toMatchObject({ code: '42P05' })
  expect(backend.received).toEqual(['', CONFIG.text, CONFIG.text])
})

test('a stale statement waits behind nothing: it is run again before what stands in line', async () => {
  const { client, backend } = await withStaleStatement()
  await Promise.all([client.query(CONFIG), client.query('select 2')])
  expect(backend.received).toEqual(['', CONFIG.text, 'select 2'])
})
