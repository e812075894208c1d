import { expect, test } from 'vitest'
import type { LeasedClient } from '../../../packages/core/src/connection/physical-client.ts'
import { type FakeBackend, serverError } from '../../support/fake-client.ts'
import { leased } from '../connection/connection-fixture.ts'

const STALE = { ...serverError('0A000', 'cached plan must not change result type') }
const CONFIG = { name: 'x', text: 'select 1' }

interface StaleStatement {
  readonly client: LeasedClient
  readonly backend: FakeBackend
}

/** A leased client whose driver believes in a prepared statement that the server finds stale at Bind. */
async function withStaleStatement(): Promise<StaleStatement> {
  const { server, connection } = await leased()
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

test('a statement that fails after Bind is not run again, although a caller has removed all listeners of the protocol', async () => {
  const { client, backend } = await withStaleStatement()
  await client.query({ name: 'other', text: 'select 2' })
  backend.wire.removeAllListeners()
  backend.silent = true
  const statement = client.query(CONFIG)
  backend.wire.emit('bindComplete')
  // Bound without Parse, it has the text that this server was sent last.
  backend.failures.set('select 2', STALE)
  backend.answer()
  backend.silent = false
  await expect(statement).rejects.toMatchObject({ code: '0A000' })
  expect(backend.received).toEqual(['select 2', 'select 2'])
})

test('a stale statement that fails when it runs again fails with the error of that run', async () => {
  const { client, backend } = await withStaleStatement()
  backend.failures.set(CONFIG.text, serverError('42P01', 'relation does not exist'))
  await expect(client.query(CONFIG)).rejects.toMatchObject({ code: '42P01' })
  expect(backend.received).toEqual(['', CONFIG.text])
})

test('a statement whose name is taken in the session of a pooler runs once more without a name, and then fails', async () => {
  const { client, backend } = await withStaleStatement()
  backend.failures.set('', serverError('26000', 'prepared statement "x" does not exist'))
  backend.failures.set(CONFIG.text, serverError('42P05', 'prepared statement "x" already exists'))
  await expect(client.query(CONFIG)).rejects.toMatchObject({ code: '42P05' })
  expect(backend.received).toEqual(['', CONFIG.text, CONFIG.text])
})

test('a stale statement runs again before the statements in the queue', async () => {
  const { client, backend } = await withStaleStatement()
  await Promise.all([client.query(CONFIG), client.query('select 2')])
  expect(backend.received).toEqual(['', CONFIG.text, 'select 2'])
})
