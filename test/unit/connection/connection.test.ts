import pg from 'pg'
import { describe, expect, test, vi } from 'vitest'
import { ping, synchronized } from '../../../packages/core/src/connection/internal-query.ts'
import type { ConnectionState } from '../../../packages/core/src/connection/state.ts'
import { codeOf } from '../../../packages/core/src/thrown.ts'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'
import { type Fixture, leased, open, prepare } from './connection-fixture.ts'

/** The shortest path from `opening` to each state. */
const PATHS: Record<ConnectionState, readonly ConnectionState[]> = {
  opening: [],
  idle: ['idle'],
  checking: ['idle', 'checking'],
  leased: ['leased'],
  resetting: ['leased', 'resetting'],
  closing: ['closing'],
  closed: ['closing', 'closed'],
}

const cause = new Error('closed by the test')

describe('the state table', () => {
  test.each([
    ['opening', ['idle', 'leased', 'closing']],
    ['idle', ['checking', 'leased', 'closing']],
    ['checking', ['idle', 'leased', 'closing']],
    ['leased', ['idle', 'leased', 'resetting', 'closing']],
    ['resetting', ['idle', 'leased', 'closing']],
    ['closing', ['closed']],
    ['closed', []],
  ] as const)(
    'the state table allows moves from %s to %s; any other move throws',
    (from, allowed: readonly ConnectionState[]) => {
      for (const to of Object.keys(PATHS) as ConnectionState[]) {
        using fixture = prepare()
        const { connection } = fixture
        for (const state of PATHS[from]) connection.move(state)
        const move = () => connection.move(to)
        if (allowed.includes(to)) expect(move).not.toThrow()
        else expect(move).toThrow(`BUG: connection 1 cannot go from ${from} to ${to}`)
        expect(connection.state).toBe(allowed.includes(to) ? to : from)
      }
    },
  )
})

describe('a lost connection', () => {
  test.each([
    { name: 'a FATAL message', lose: ({ server }: Fixture) => server.backend().send(adminShutdown()), code: '57P01' },
    {
      name: 'a socket error',
      lose: ({ server }: Fixture) => server.backend().fail(systemError('ECONNRESET')),
      code: 'ECONNRESET',
    },
    { name: 'a closed socket', lose: ({ server }: Fixture) => server.backend().disappear(), code: undefined },
  ])('a lost connection is detected by $name while it is idle, and its socket is closed', async ({ lose, code }) => {
    using fixture = await open()
    fixture.connection.becomeIdle(0)
    lose(fixture)
    await fixture.clock.advance(0)
    expect(fixture.connection.isLost).toBe(true)
    expect(codeOf(fixture.connection.loss?.cause)).toBe(code)
    expect(fixture.lost).toHaveBeenCalledOnce()
    expect(fixture.server.backend().isOpen).toBe(false)
  })

  test('a lost connection reports its loss once, with the first cause', async () => {
    using fixture = await open()
    fixture.connection.becomeIdle(0)
    fixture.server.backend().terminate()
    await fixture.clock.advance(0)
    expect(fixture.lost).toHaveBeenCalledExactlyOnceWith(
      fixture.connection,
      expect.objectContaining({ cause: expect.objectContaining({ code: '57P01' }) }),
      'unclear',
    )
  })

  test('a connection is not lost when a statement fails with an ordinary error', async () => {
    using fixture = await leased()
    const query = fixture.connection.client.query('insert').catch((error: unknown) => error)
    fixture.server.backend().failures.set('insert', serverError('23505', 'duplicate key'))
    await fixture.clock.advance(0)
    expect(await query).toMatchObject({ code: '23505' })
    expect(fixture.connection.isLost).toBe(false)
  })

  test.each([
    { before: [], running: undefined, phase: 'idle', commitOutcome: 'aborted' },
    { before: [], running: 'select 1', phase: 'query', commitOutcome: 'unknown' },
    { before: ['begin'], running: undefined, phase: 'transaction', commitOutcome: 'aborted' },
    { before: ['begin'], running: 'update t', phase: 'transaction', commitOutcome: 'aborted' },
    { before: ['begin'], running: 'commit', phase: 'commit', commitOutcome: 'unknown' },
  ])('a connection lost after $before, while $running runs, says $phase: $commitOutcome', async (row) => {
    using fixture = await leased()
    const { client } = fixture.connection
    for (const sql of row.before) {
      void client.query(sql)
      await fixture.clock.advance(0)
    }
    fixture.server.backend().silent = true
    const query = row.running && client.query(row.running).catch((error: unknown) => error)
    fixture.server.backend().terminate()
    await fixture.clock.advance(0)

    const facts = { name: 'ConnectionLostError', code: '57P01', phase: row.phase, commitOutcome: row.commitOutcome }
    if (query) expect(await query).toMatchObject({ ...facts, sent: true })
    const later = client.query('select 2').catch((error: unknown) => error)
    await fixture.clock.advance(0)
    expect(await later).toMatchObject({ ...facts, sent: false })
  })

  test('a lost connection reports for a statement in the queue that no byte of it was sent', async () => {
    using fixture = await leased()
    const { client } = fixture.connection
    fixture.server.backend().silent = true
    const errors = Promise.all(
      ['select 1', 'select 2'].map((sql) => client.query(sql).catch((error: unknown) => error)),
    )
    fixture.server.backend().fail(systemError('ECONNRESET'))
    await fixture.clock.advance(0)
    expect(await errors).toMatchObject([{ sent: true }, { sent: false }])
  })

  test('a lost connection reports in pipeline mode that the statements behind the first one may have been sent', async () => {
    using fixture = await leased({ clientConfig: () => ({ pipeline: true }) })
    const { client } = fixture.connection
    fixture.server.backend().silent = true
    const errors = Promise.all(
      ['select 1', 'select 2'].map((sql) => client.query(sql).catch((error: unknown) => error)),
    )
    fixture.server.backend().fail(systemError('ECONNRESET'))
    await fixture.clock.advance(0)
    // Before pg 8.23 the option changes nothing.
    const isPipelined = 'pipeline' in new pg.Client()
    expect(await errors).toMatchObject([{ sent: true }, { sent: isPipelined }])
  })
})

describe('a ping', () => {
  test('a ping succeeds when the server answers', async () => {
    using fixture = await open()
    const pinged = ping(fixture.connection, fixture.clock, 1000)
    await fixture.clock.advance(0)
    await pinged
    expect(fixture.connection.isLost).toBe(false)
    expect(fixture.clock.timers('nothing')).toBe(0)
  })

  test('a ping records when the server answered', async () => {
    using fixture = await open()
    await fixture.clock.advance(700)
    const pinged = ping(fixture.connection, fixture.clock, 1000)
    await fixture.clock.advance(0)
    await pinged
    expect(fixture.connection.liveness.answeredAt).toBe(fixture.clock.now())
  })

  test('a ping without an answer loses the connection', async () => {
    using fixture = await open()
    fixture.server.backend().silent = true
    const pinged = ping(fixture.connection, fixture.clock, 1000)
    await fixture.clock.advance(1000)
    await pinged
    expect(fixture.connection.loss?.cause).toMatchObject({ message: 'No answer to a ping within 1000 ms' })
    expect(fixture.server.backend().isOpen).toBe(false)
  })
})

describe('synchronized', () => {
  test('synchronized() resolves with true at once when the server has answered everything', async () => {
    using fixture = await open()
    await expect(synchronized(fixture.connection, fixture.clock, 1000)).resolves.toBe(true)
  })

  test('synchronized() waits for a late ReadyForQuery', async () => {
    using fixture = await leased()
    const backend = fixture.server.backend()
    backend.holdsReadyForQuery = true
    backend.failures.set('bad', serverError('42601', 'syntax error'))
    void fixture.connection.client.query('bad').catch(() => {})
    await fixture.clock.advance(0)
    const told = vi.fn()
    void synchronized(fixture.connection, fixture.clock, 1000).then(told)
    await fixture.clock.advance(500)
    expect(told).not.toHaveBeenCalled()
    backend.readyForQuery()
    await fixture.clock.advance(0)
    expect(told).toHaveBeenCalledExactlyOnceWith(true)
  })

  test.each([
    { when: 'it takes too long', act: ({ clock }: Fixture) => clock.advance(1000) },
    { when: 'the connection is lost', act: async ({ server }: Fixture) => server.backend().terminate() },
  ])('synchronized() resolves with false when $when, and leaves no listener behind', async ({ act }) => {
    using fixture = await leased()
    const backend = fixture.server.backend()
    const listeners = () => backend.wire.listenerCount('readyForQuery') + backend.wire.listenerCount('end')
    const before = listeners()
    backend.silent = true
    void fixture.connection.client.query('select 1').catch(() => {})
    const answer = synchronized(fixture.connection, fixture.clock, 1000)
    await act(fixture)
    await fixture.clock.advance(0)
    expect(await answer).toBe(false)
    expect(listeners()).toBeLessThanOrEqual(before)
    expect(fixture.clock.timers('nothing')).toBe(0)
  })
})

describe('closing a connection', () => {
  test('close() sends Terminate to a server that has answered everything', async () => {
    using fixture = await open()
    const closed = fixture.connection.close(1000, cause)
    await fixture.clock.advance(0)
    await closed
    expect(fixture.server.received).toEqual(['Terminate'])
    expect(fixture.connection.state).toBe('closed')
  })

  test('close() sends no Terminate to a server that still executes a statement', async () => {
    using fixture = await leased()
    fixture.server.backend().silent = true
    void fixture.connection.client.query('select pg_sleep(60)').catch(() => {})
    const closed = fixture.connection.close(1000, cause)
    await fixture.clock.advance(0)
    await closed
    expect(fixture.server.received).not.toContain('Terminate')
  })

  test('close() destroys the socket when the server does not close it in time', async () => {
    using fixture = await open()
    fixture.server.hearsGoodbyes = false
    const closed = fixture.connection.close(1000, cause)
    await fixture.clock.advance(1000)
    await closed
    expect(fixture.server.backend().isOpen).toBe(false)
    expect(fixture.connection.state).toBe('closed')
  })

  test('close() is not reported as a loss', async () => {
    using fixture = await open()
    void fixture.connection.close(1000, cause)
    await fixture.clock.advance(0)
    expect(fixture.lost).not.toHaveBeenCalled()
  })
})

describe('query_timeout', () => {
  test('query_timeout loses the connection, and requires a ping of the others', async () => {
    using fixture = await leased({ queryTimeoutMillis: 2000 })
    fixture.server.backend().silent = true
    const query = fixture.connection.client.query('select pg_sleep(60)').catch((error: unknown) => error)
    await fixture.clock.advance(1999)
    expect(fixture.connection.isLost).toBe(false)
    await fixture.clock.advance(1)
    expect(await query).toMatchObject({ name: 'ConnectionLostError', cause: { message: 'Query read timeout' } })
    expect(fixture.server.backend().isOpen).toBe(false)
    expect(fixture.lost).toHaveBeenCalledExactlyOnceWith(fixture.connection, expect.anything(), 'suspect')
  })

  test("the query_timeout of a statement replaces the pool's", async () => {
    using fixture = await leased({ queryTimeoutMillis: 2000 })
    fixture.server.backend().silent = true
    const config = { text: 'select pg_sleep(60)', query_timeout: 500 }
    void fixture.connection.client.query(config).catch(() => {})
    await fixture.clock.advance(500)
    expect(fixture.connection.isLost).toBe(true)
  })

  test("the query_timeout of the connection string applies without the driver's own timer, which leaves it half-open", async () => {
    using fixture = await leased({ clientConfig: () => ({ query_timeout: 500 }) })
    fixture.server.backend().silent = true
    const query = fixture.connection.client.query('select pg_sleep(1)')
    query.catch(() => {})
    await fixture.clock.advance(501)
    await expect(query).rejects.toMatchObject({ name: 'ConnectionLostError' })
    expect(fixture.connection.isLost).toBe(true)
  })

  test('query_timeout does not fail a statement whose answer is in the socket after a blocked event loop', async () => {
    using fixture = await leased({ queryTimeoutMillis: 2000 })
    const backend = fixture.server.backend()
    backend.silent = true
    const query = fixture.connection.client.query('insert')
    await fixture.clock.blockEventLoop(5000, () => backend.answer())
    await expect(query).resolves.toMatchObject({ command: 'insert' })
    expect(fixture.connection.isLost).toBe(false)
  })

  test('query_timeout leaves no timer behind', async () => {
    using fixture = await leased({ queryTimeoutMillis: 2000 })
    void fixture.connection.client.query('select 1')
    expect(fixture.clock.timers('process')).toBe(1)
    await fixture.clock.advance(0)
    expect(fixture.clock.timers('process')).toBe(0)
  })
})

describe('allowExitOnIdle', () => {
  test.each([
    { allowExitOnIdle: true, idle: false },
    { allowExitOnIdle: false, idle: true },
  ])(
    'allowExitOnIdle: $allowExitOnIdle: an idle socket keeps the process alive ($idle), any other does',
    async ({ allowExitOnIdle, idle }) => {
      using fixture = await open({ allowExitOnIdle })
      const { connection } = fixture
      const { stream } = fixture.server.backend().wire
      connection.becomeIdle(0)
      expect(stream.isRef).toBe(idle)
      connection.move('checking')
      expect(stream.isRef).toBe(true)
      connection.startLease(0)
      expect(stream.isRef).toBe(true)
      connection.becomeIdle(0)
      void connection.close(1000, cause)
      expect(stream.isRef).toBe(true)
    },
  )
})
