import { expect, test } from 'vitest'
import { KnownPooler } from '../../../packages/core/src/driver/known-pooler.ts'
import { leased } from '../connection/connection-fixture.ts'

const TEXT = 'select $1::int'
const QUESTION = 'select pg_catalog.pg_backend_pid()::text as pid'
const prepare = { threshold: 3, max: 100, needsProof: true }

test('a server that names no process is asked once, and nothing is prepared', async () => {
  using fixture = await leased({ prepare })
  const { server, connection } = fixture
  for (let time = 0; time < 10; time++) await connection.client.query(TEXT, [time])
  const { received, wire } = server.backend()
  expect(received.filter((text) => text === QUESTION)).toHaveLength(1)
  expect(received.filter((text) => text === TEXT)).toHaveLength(10)
  expect([wire.parsedStatements, wire.submittedNamedStatements]).toEqual([{}, {}])
})

test('a server that fails to say which process serves a session is asked no more in that session', async () => {
  using fixture = await leased({ prepare })
  const { server, connection } = fixture
  server
    .backend()
    .failures.set(QUESTION, Object.assign(new Error('no such function'), { code: '42883', severity: 'ERROR' }))
  for (let time = 0; time < 10; time++) await connection.client.query(TEXT, [time])
  expect(server.backend().received.filter((text) => text === QUESTION)).toHaveLength(1)
})

test('nothing is asked and nothing is named without `prepare`, and in a pipeline', async () => {
  for (const options of [{ prepare: false as const }, { prepare, clientConfig: () => ({ pipeline: true }) as never }]) {
    using fixture = await leased(options)
    const { server, connection } = fixture
    for (let time = 0; time < 10; time++) await connection.client.query(TEXT, [time])
    expect(server.backend().received).toEqual(Array.from({ length: 10 }, () => TEXT))
    expect(server.backend().wire.submittedNamedStatements).toEqual({})
  }
})

test('where a pooler was given, nothing is asked, and nothing is named', async () => {
  using fixture = await leased({ prepare, pooler: new KnownPooler('session') })
  const { server, connection } = fixture
  server.backend().received.length = 0 // The ping of the login.
  for (let time = 0; time < 10; time++) await connection.client.query(TEXT, [time])
  expect(server.backend().received).toEqual(Array.from({ length: 10 }, () => TEXT))
  expect(server.backend().wire.submittedNamedStatements).toEqual({})
})

test('where it was said that there is no pooler, the statement is named, and the session is asked once in passing', async () => {
  using fixture = await leased({ prepare, pooler: new KnownPooler('none') })
  const { server, connection } = fixture
  for (let time = 0; time < 10; time++) await connection.client.query(TEXT, [time])
  expect(server.backend().received.filter((text) => text === QUESTION)).toHaveLength(1)
  expect([...server.backend().wire.named]).toEqual([TEXT])
})

test('by `true` nothing is asked, and the statement is named', async () => {
  using fixture = await leased({ prepare: { ...prepare, needsProof: false } })
  const { server, connection } = fixture
  for (let time = 0; time < 3; time++) await connection.client.query(TEXT, [time])
  expect(server.backend().received).toEqual([TEXT, TEXT, TEXT])
  expect([...server.backend().wire.named]).toEqual([TEXT])
})
