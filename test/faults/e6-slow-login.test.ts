import net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { ConnectError, PoolTimeoutError } from '@holdfast/core'
import { beforeAll, describe, expect } from 'vitest'
import { type Certificates, issueCertificates } from '../support/certificates.ts'
import { until } from '../support/index.ts'
import { message, ScriptedServer, type ScriptedSession } from '../support/scripted-server.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const DEADLINE_MILLIS = 3000
/** More than a third of the deadline, which is a second, and less than nine tenths. */
const SLOW_MILLIS = 2000

let certificates: Certificates
beforeAll(async () => {
  certificates = await issueCertificates()
})

/** Where a login takes its time. `isHeard` if the server has said something before. */
const PHASES: readonly {
  phase: string
  isHeard: boolean
  tls?: true
  logIn(session: ScriptedSession): Promise<void>
}[] = [
  {
    phase: 'before it answers whether it speaks TLS',
    isHeard: false,
    tls: true,
    async logIn(session) {
      await session.next()
      await pause(SLOW_MILLIS)
      await session.secure(certificates)
      await session.next()
      session.send(message.loggedIn(session.number))
    },
  },
  {
    phase: 'after the TLS handshake',
    isHeard: true,
    tls: true,
    async logIn(session) {
      await session.next()
      await session.secure(certificates)
      await session.next()
      await pause(SLOW_MILLIS)
      session.send(message.loggedIn(session.number))
    },
  },
  {
    phase: 'before it asks for a password',
    isHeard: false,
    async logIn(session) {
      await session.next()
      await pause(SLOW_MILLIS)
      session.send(message.passwordWanted())
      await session.next()
      session.send(message.loggedIn(session.number))
    },
  },
  {
    phase: 'while it checks the password',
    isHeard: true,
    async logIn(session) {
      await session.next()
      session.send(message.passwordWanted())
      await session.next()
      await pause(SLOW_MILLIS)
      session.send(message.loggedIn(session.number))
    },
  },
  {
    phase: 'between authentication and readiness',
    isHeard: true,
    async logIn(session) {
      await session.next()
      session.send(message.authenticated())
      await pause(SLOW_MILLIS)
      session.send(message.keyData(session.number), message.ready())
    },
  },
  {
    phase: 'at every byte',
    isHeard: true,
    async logIn(session) {
      await session.next()
      const bytes = message.loggedIn(session.number)
      for (const byte of bytes) {
        await pause(SLOW_MILLIS / bytes.length)
        session.send(Buffer.from([byte]))
      }
    },
  },
]

/** Answers whatever is asked. */
async function serve(session: ScriptedSession): Promise<void> {
  for (let asked = await session.next(); asked; asked = await session.next())
    if (asked.letter === 'Q') session.send(message.done('SELECT 0'))
}

async function slowServer(logIn: (session: ScriptedSession) => Promise<void>): Promise<ScriptedServer> {
  return await ScriptedServer.start(async (session) => {
    await logIn(session)
    await serve(session)
  })
}

// Concurrent, since all of it is waiting.
describe.concurrent.each(PHASES)('a login takes most of the deadline, $phase', ({ isHeard, tls, logIn }) => {
  const ssl = (): { ca: string; rejectUnauthorized: true } | false =>
    tls ? { ca: certificates.ca, rejectUnauthorized: true } : false

  test('stock pg.Pool: one slow login is begun, and serves', async () => {
    await using server = await slowServer(logIn)
    await using pool = new StockPool({ ...server.config(), ssl: ssl(), connectionTimeoutMillis: DEADLINE_MILLIS })
    await settles(pool.query('select 1'), 'the statement')
    expect(server.sessions).toHaveLength(1)
  })

  test('Holdfast: the first slow login serves; another begins beside it only if nothing has arrived', async () => {
    await using server = await slowServer(logIn)
    await using pool = holdfast({ ...server.config(), ssl: ssl(), connectionTimeoutMillis: DEADLINE_MILLIS })
    const client = await settles(pool.connect(), 'the caller')
    // Not the second, which would have taken as long again.
    expect((client as unknown as { processID: number }).processID).toBe(1)
    expect(server.sessions).toHaveLength(isHeard ? 1 : 2)
    client.release()
    expect(pool.totalCount).toBe(1)
    await until(() => server.openCount === 1, { what: 'the other login to be dropped' })
  })
})

describe.concurrent('many callers wait for slow logins', () => {
  test('Holdfast: no more than one login beyond `max` is under way at any time', async () => {
    let mostOpen = 0
    await using server = await slowServer(async (session) => {
      mostOpen = Math.max(mostOpen, server.openCount)
      await session.next()
      await pause(SLOW_MILLIS)
      session.send(message.loggedIn(session.number))
    })
    await using pool = holdfast({ ...server.config(), max: 4, connectionTimeoutMillis: DEADLINE_MILLIS })
    await settles(Promise.all(Array.from({ length: 20 }, () => pool.query('select 1'))), 'the callers')
    expect(server.sessions.length).toBeLessThanOrEqual(5)
    expect(mostOpen).toBeLessThanOrEqual(5)
    expect(pool.totalCount).toBe(4)
  })
})

describe.concurrent('a login takes longer than the deadline', () => {
  const DEADLINE = 500

  test('Holdfast: a login that outlasts the deadline serves a later caller', async () => {
    await using server = await slowServer(async (session) => {
      await session.next()
      session.send(message.passwordWanted())
      await session.next()
      await pause(2 * DEADLINE)
      session.send(message.loggedIn(session.number))
    })
    await using pool = holdfast({ ...server.config(), connectionTimeoutMillis: DEADLINE })
    const error = await rejection(pool.query('select 1'))
    expect(error).toBeInstanceOf(PoolTimeoutError)
    expect(error.cause).toBeInstanceOf(ConnectError)
    await until(() => pool.idleCount === 1, { what: 'the connection to join the pool' })
    await pool.query('select 1')
    expect(server.sessions).toHaveLength(1)
  })

  test('Holdfast: without a deadline a login is waited for as long as it takes', async () => {
    await using server = await slowServer(async (session) => {
      await session.next()
      session.send(message.passwordWanted())
      await session.next()
      await pause(SLOW_MILLIS)
      session.send(message.loggedIn(session.number))
    })
    await using pool = holdfast({ ...server.config(), connectionTimeoutMillis: 0 })
    await settles(pool.query('select 1'), 'the caller')
    expect(server.sessions).toHaveLength(1)
  })
})

describe.concurrent('a slow way to a real server', () => {
  test('Holdfast: one login serves although each step of TLS and SCRAM is slow', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    // Together more than a third of the deadline.
    proxy.delay(150)
    await using pool = holdfast({ ...proxied, connectionTimeoutMillis: DEADLINE_MILLIS })
    await settles(pool.query('select 1'), 'the caller')
    expect(proxy.links).toHaveLength(1)
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})

describe.concurrent('a handshake is swallowed', () => {
  test('Holdfast: a swallowed handshake is followed by one that serves in time', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    proxy.swallow({ connections: 'new' })
    await using pool = holdfast({ ...proxied, max: 1, connectionTimeoutMillis: DEADLINE_MILLIS })
    const caller = pool.query('select 1')
    const [first] = await until(() => proxy.links.length === 1 && proxy.links)
    await proxy.heal() // What was swallowed stays so.
    await settles(caller, 'the caller')
    expect(pool.totalCount).toBe(1)
    await until(() => !first?.isOpen, { what: 'the swallowed one to be dropped' })
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: swallowed handshakes are all followed by some in time', async ({ cluster, proxy, proxied }) => {
    proxy.swallow({ connections: 'new' })
    await using pool = holdfast({ ...proxied, max: 5, connectionTimeoutMillis: DEADLINE_MILLIS })
    const callers = Array.from({ length: 5 }, () => pool.connect())
    await until(() => proxy.links.length === 5)
    await proxy.heal()
    const clients = await settles(Promise.all(callers), 'the callers')
    for (const client of clients) client.release()
    expect(pool.totalCount).toBe(5)
    await until(() => proxy.links.filter(({ isOpen }) => isOpen).length === 5, {
      what: 'the swallowed ones to be dropped',
    })
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: a SYN without an answer is followed by another one long before a third of the deadline', async ({
    cluster,
    direct,
  }) => {
    let sockets = 0
    const stream = (): net.Socket => {
      const socket = new net.Socket()
      if (++sockets > 1) return socket
      Object.defineProperty(socket, 'connecting', { value: true })
      socket.connect = () => socket
      return socket
    }
    // A third would be more than this test has time for.
    await using pool = holdfast({ ...direct, stream, connectionTimeoutMillis: 200_000 })
    const startedAt = performance.now()
    await settles(pool.query('select 1'), 'the caller')
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe.concurrent('a network that swallows handshakes for longer than several deadlines', () => {
  const SHORT_MILLIS = 1500

  test.for([
    ['with retries', {}],
    ['with `connectRetry: false`', { connectRetry: false }],
  ] as const)(
    'Holdfast: after a swallowing network callers are served within two deadlines, %s',
    async ([, options], { proxied, proxy }) => {
      const unsubscribe = proxy.onLink((link) => link.delay(Number.POSITIVE_INFINITY))
      await using pool = holdfast({ ...proxied, ...options, max: 1, connectionTimeoutMillis: SHORT_MILLIS })
      for (let caller = 0; caller < 5; caller++) await rejection(pool.query('select 1'))
      unsubscribe() // The links that were begun stay swallowed.
      const served = await Promise.race([
        pool.query('select 1 as it').catch(() => pool.query('select 1 as it')),
        pause(3 * SHORT_MILLIS),
      ])
      expect(served).toMatchObject({ rows: [{ it: 1 }] })
      await proxy.heal()
    },
  )
})

describe.concurrent('a login that is refused', () => {
  test('Holdfast: a refusal of the second login rejects at once, though the first is silent', async () => {
    await using server = await ScriptedServer.start(async (session) => {
      await session.next()
      if (session.number === 1) return
      session.send(message.error('FATAL', '28P01', 'password authentication failed for user "app"'))
      session.close()
    })
    await using pool = holdfast({ ...server.config(), connectionTimeoutMillis: DEADLINE_MILLIS })
    expect(await rejection(pool.query('select 1'))).toMatchObject({ name: 'ConnectError', code: '28P01' })
    await until(() => server.openCount === 0)
    expect(pool.totalCount).toBe(0)
  })

  test('Holdfast: a second login that finds no room leaves the first to go on', async () => {
    await using server = await ScriptedServer.start(async (session) => {
      await session.next()
      if (session.number === 1) {
        await pause(SLOW_MILLIS)
        session.send(message.loggedIn(1))
        return serve(session)
      }
      session.send(message.error('FATAL', '53300', 'sorry, too many clients already'))
      session.close()
    })
    await using pool = holdfast({ ...server.config(), connectionTimeoutMillis: DEADLINE_MILLIS })
    await settles(pool.query('select 1'), 'the caller')
    expect(server.sessions).toHaveLength(2)
  })
})

describe.concurrent('the pool is closed while one logs in beside another', () => {
  test('Holdfast: end() during two logins refuses the caller in time, and leaves no socket', async () => {
    await using server = await ScriptedServer.start(async () => {})
    await using pool = holdfast({ ...server.config(), connectionTimeoutMillis: DEADLINE_MILLIS })
    const caller = rejection(pool.query('select 1'))
    await until(() => server.openCount === 2)
    await settles(pool.end(), 'end()')
    expect(await caller).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
    await until(() => server.openCount === 0)
  })
})

describe("the pool's own questions", () => {
  test('Holdfast: a lost COMMIT is found out over one login that takes more than a third of the deadline', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({
      ...proxied,
      max: 1,
      commitTimeoutMillis: 300,
      connectionTimeoutMillis: 5000,
      watch: false,
    })
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into entry values ('found out over a slow login')")
    await client.query('select 1') // By now the transaction is known.
    proxy.swallow({ direction: 'to-client', connections: 'existing' })
    proxy.delay(150)
    expect(await settles(client.query('commit'), 'COMMIT')).toMatchObject({ command: 'COMMIT' })
    expect(proxy.links.filter(({ isDead }) => !isDead)).toHaveLength(1)
    client.release()
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})
