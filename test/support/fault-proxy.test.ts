import { once } from 'node:events'
import net from 'node:net'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { startOwnCluster } from './fixtures/own-cluster.ts'
import { Cluster, FaultProxy, type Link, until } from './index.ts'
import { connect, type TestClient } from './test-client.ts'

let cluster: Cluster

startOwnCluster((started) => {
  cluster = started
})

function connectThrough(proxy: FaultProxy, extra: pg.ClientConfig = {}): Promise<TestClient> {
  return connect(proxy.config(cluster.config(extra)))
}

/** A client, its link, and a query that the server is busy with. */
async function busyClient(proxy: FaultProxy): Promise<{ client: TestClient; link: Link; pending: Promise<unknown> }> {
  const opened = proxy.nextLink()
  const client = await connectThrough(proxy)
  const pending = client.query('select pg_sleep(60)')
  pending.catch(() => {}) // The test looks at it later.
  await until(() => cluster.countSessions({ state: 'active' }))
  return { client, link: await opened, pending }
}

describe('passing', () => {
  test('the fault proxy leads to the server, whose certificate still verifies, by configuration and by URL', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    await using other = await connect(proxy.config({ connectionString: cluster.url }))
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect((await other.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(proxy.port).not.toBe(cluster.port)
    expect([proxy.connections, proxy.accepted]).toEqual([2, 2])
  })

  test('the fault proxy counts connections and forgets those that were ended', async () => {
    await using proxy = await FaultProxy.start(cluster)
    const opened = proxy.nextLink()
    await using client = await connectThrough(proxy)
    const link = await opened
    expect(proxy.links).toEqual([link])
    await client.end()
    await link.closed
    expect(proxy.links).toEqual([])
    expect([proxy.connections, proxy.accepted]).toEqual([0, 1])
  })

  test('the fault proxy knows which session of the server belongs to which link', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using _one = await connectThrough(proxy, { application_name: 'one' })
    await using _two = await connectThrough(proxy, { application_name: 'two' })
    const [session] = await cluster.sessions({ applicationName: 'two' })
    const link = proxy.links.find(({ serverPort }) => serverPort === session?.clientPort)
    expect(link).toMatchObject({ id: 2, isOpen: true, isDead: false })
    expect(link?.bytesToServer).toBeGreaterThan(0)
    expect(link?.bytesToClient).toBeGreaterThan(0)
    expect(link?.openedAt.getTime()).toBeLessThanOrEqual(Date.now())
  })

  test('the fault proxy shows the client that the server has ended the session, and why', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    await cluster.terminateBackends()
    await until(() => client.errors[1])
    expect(client.errors).toMatchObject([{ code: '57P01' }, { message: 'Connection terminated unexpectedly' }])
  })
})

describe('cut', () => {
  test('a cut by FIN looks like a server that went away', async () => {
    await using proxy = await FaultProxy.start(cluster)
    const { link, pending } = await busyClient(proxy)
    proxy.cut('fin')
    await expect(pending).rejects.toThrow('Connection terminated unexpectedly')
    await link.clientLeft
    expect(proxy.connections).toBe(0)
  })

  test('a cut by RST looks like a reset', async () => {
    await using proxy = await FaultProxy.start(cluster)
    const { client, link, pending } = await busyClient(proxy)
    proxy.cut('rst')
    await expect(pending).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(client.errors[0]).toMatchObject({ code: 'ECONNRESET' })
    await link.closed
  })

  test('a cut is for all connections, for listed ones, or for those that satisfy a condition', async () => {
    await using proxy = await FaultProxy.start(cluster)
    const clients = [await connectThrough(proxy), await connectThrough(proxy), await connectThrough(proxy)]
    const [first, second] = proxy.links
    proxy.cut('rst', { links: first ? [first] : [] })
    await until(() => clients[0]?.errors[0])
    proxy.cut('rst', { links: ({ id }) => id === second?.id })
    await until(() => clients[1]?.errors[0])
    expect((await clients[2]?.query('select 1 as one'))?.rows).toEqual([{ one: 1 }])
  })

  test('a cut can be made on one side only: the server keeps the session and its locks', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy, { application_name: 'zombie' })
    await client.query('begin')
    proxy.cut('rst', { side: 'client' })
    await until(() => client.errors[0])
    expect(proxy.connections).toBe(0)
    expect(proxy.links.length).toBe(1)
    expect(await cluster.countSessions({ applicationName: 'zombie', state: 'idle in transaction' })).toBe(1)
    proxy.cut('rst')
    await until(async () => (await cluster.countSessions()) === 0)
  })

  test('a cut inside a record loses the answer half-way', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const [link] = proxy.links
    const hit = proxy.cutInsideRecord()
    await expect(client.query('select 1')).rejects.toThrow('Connection terminated unexpectedly')
    expect(await hit).toEqual([link])
  })

  test('a cut inside a record to the server loses the statement, which is never run', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const hit = proxy.cutInsideRecord({ direction: 'to-server', kind: 'rst' })
    await expect(client.query('create table never_made ()')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await hit).toHaveLength(1)
    expect(await cluster.query("select to_regclass('never_made') as made")).toEqual([{ made: null }])
  })
})

describe('corrupt', () => {
  test('a corrupted record makes TLS at the client refuse the answer', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const [link] = proxy.links
    const hit = proxy.corrupt('to-client')
    await expect(client.query('select 1')).rejects.toMatchObject({
      code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
    })
    expect(await hit).toEqual([link])
  })

  test('a corrupted record makes TLS at the server refuse the statement, and say so', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const hit = proxy.corrupt('to-server')
    await expect(client.query('select 1')).rejects.toThrow(/bad record mac/i)
    expect(await hit).toHaveLength(1)
  })

  test('a corruption resolves without a hit when the link closes, or the proxy heals, before there was a record', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const calledOff = proxy.corrupt('to-client')
    await proxy.heal()
    expect(await calledOff).toEqual([])
    await client.query('select 1')
    const tooLate = proxy.corrupt('to-client')
    proxy.cut('rst')
    expect(await tooLate).toEqual([])
  })
})

describe('swallow', () => {
  test('swallowing leaves queries pending without an error, while new connections work', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using dead = await connectThrough(proxy, { query_timeout: 100 })
    proxy.swallow({ connections: 'existing' })
    await expect(dead.query('select 1')).rejects.toThrow('Query read timeout')
    await using alive = await connectThrough(proxy)
    expect((await alive.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(dead.errors).toEqual([])
    expect(proxy.links.map(({ isOpen, isDead }) => ({ isOpen, isDead }))).toEqual([
      { isOpen: true, isDead: true },
      { isOpen: true, isDead: false },
    ])
  })

  test('swallowing accepts new connections and never answers them, while existing ones work', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using alive = await connectThrough(proxy)
    proxy.swallow({ connections: 'new' })
    const opened = proxy.nextLink()
    await expect(connectThrough(proxy, { connectionTimeoutMillis: 100 })).rejects.toThrow('timeout expired')
    expect((await opened).bytesToServer).toBe(8) // The request for TLS.
    expect((await opened).bytesToClient).toBe(0)
    expect((await alive.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(await cluster.countSessions()).toBe(1)
  })

  test('swallowing to the client loses the answer, but the statement is run', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy, { query_timeout: 100 })
    proxy.swallow({ direction: 'to-client' })
    await expect(client.query('create table made_unseen ()')).rejects.toThrow('Query read timeout')
    expect(await cluster.query("select to_regclass('made_unseen')::text as made")).toEqual([{ made: 'made_unseen' }])
  })

  test('swallowing to the server loses the statement, but what the server says comes through', async () => {
    await using proxy = await FaultProxy.start(cluster)
    const opened = proxy.nextLink()
    await using client = await connectThrough(proxy)
    const link = await opened
    const before = link.bytesToServer
    proxy.swallow({ direction: 'to-server' })
    const pending = client.query('create table never_asked ()')
    pending.catch(() => {}) // Looked at below.
    await until(() => link.bytesToServer > before)
    await cluster.terminateBackends()
    await expect(pending).rejects.toMatchObject({ code: '57P01' })
    expect(await cluster.query("select to_regclass('never_asked') as made")).toEqual([{ made: null }])
  })

  test('swallowing hides from either side that the other one has gone', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy, { query_timeout: 100 })
    const gone = await connectThrough(proxy, { application_name: 'gone' })
    proxy.swallow()
    await gone[Symbol.asyncDispose]()
    await until(() => proxy.connections === 1)
    expect(await cluster.countSessions({ applicationName: 'gone' })).toBe(1)
    await cluster.restart('fast')
    await Promise.all(proxy.links.map(({ serverLeft }) => serverLeft))
    await expect(client.query('select 1')).rejects.toThrow('Query read timeout')
    expect(client.errors).toEqual([])
  })

  test('swallowing is not undone by healing: the connection stays dead, and the server learns of clients that gave up', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using waiting = await connectThrough(proxy, { query_timeout: 100 })
    const gone = await connectThrough(proxy, { application_name: 'gone' })
    proxy.swallow()
    await gone[Symbol.asyncDispose]()
    await until(() => proxy.connections === 1)
    await proxy.heal()
    await until(async () => (await cluster.countSessions({ applicationName: 'gone' })) === 0)
    await expect(waiting.query('select 1')).rejects.toThrow('Query read timeout')
    await using fresh = await connectThrough(proxy)
    expect((await fresh.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('delay', () => {
  test('a delay slows down what is there and what is still to come', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using client = await connectThrough(proxy)
    proxy.delay(20)
    await using fresh = await connectThrough(proxy)
    for (const slow of [client, fresh]) {
      const startedAt = performance.now()
      await slow.query('select 1')
      // Never too fast, however slow the machine: 20 ms each way, less the rounding of timers.
      expect(performance.now() - startedAt).toBeGreaterThan(35)
    }
  })

  test('a delay without an end is a network that is away until it heals, and loses nothing', async () => {
    await using proxy = await FaultProxy.start(cluster)
    await using patient = await connectThrough(proxy)
    await using impatient = await connectThrough(proxy, { query_timeout: 100 })
    proxy.delay(Number.POSITIVE_INFINITY)
    const pending = patient.query('select 1 as one')
    await expect(impatient.query('select 1')).rejects.toThrow('Query read timeout')
    await proxy.heal()
    expect((await pending).rows).toEqual([{ one: 1 }])
  })
})

describe('refuse', () => {
  test('refusing makes connects fail with ECONNREFUSED, and healing accepts them at the same port again', async () => {
    await using proxy = await FaultProxy.start(cluster)
    const { port } = proxy
    await using existing = await connectThrough(proxy)
    proxy.refuse()
    expect(proxy.isListening).toBe(false)
    await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await existing.query('select 1')
    await proxy.heal()
    expect([proxy.isListening, proxy.port]).toEqual([true, port])
    await using again = await connectThrough(proxy)
    await again.query('select 1')
  })

  test('refusing can be for a while', async () => {
    await using proxy = await FaultProxy.start(cluster)
    proxy.refuse(30)
    await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await proxy.whenListening()
    await using client = await connectThrough(proxy)
    await client.query('select 1')
  })
})

describe('refusing again', () => {
  test('refusing again before healing has taken effect wins', async () => {
    await using proxy = await FaultProxy.start(cluster)
    proxy.refuse()
    const healed = proxy.heal()
    proxy.refuse()
    await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await proxy.heal()
    await healed
    await using client = await connectThrough(proxy)
    await client.query('select 1')
  })

  test('refusing again and healing reject when another process has taken the port; later they try again', async () => {
    await using proxy = await FaultProxy.start(cluster)
    proxy.refuse()
    const intruder = net.createServer().listen(proxy.port, proxy.host)
    await once(intruder, 'listening')
    await expect(proxy.heal()).rejects.toMatchObject({ code: 'PROXY_PORT_TAKEN' })
    intruder.close()
    await once(intruder, 'close')
    await proxy.heal()
    await using client = await connectThrough(proxy)
    await client.query('select 1')
  })
})

describe('a link', () => {
  test('a link can be acted on before its first byte', async () => {
    await using proxy = await FaultProxy.start(cluster)
    const stop = proxy.onLink((link) => link.swallow())
    await expect(connectThrough(proxy, { connectionTimeoutMillis: 100 })).rejects.toThrow('timeout expired')
    stop()
    await using client = await connectThrough(proxy)
    await client.query('select 1')
    const opened = proxy.nextLink().then((link) => link.cut('rst'))
    await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNRESET' })
    await opened
  })

  test('a link to a server that is down is reset', async () => {
    await using down = await Cluster.start()
    await using proxy = await FaultProxy.start(down)
    await down.stop()
    await expect(connect(proxy.config(down.config()))).rejects.toMatchObject({ code: 'ECONNRESET' })
    await down.start()
    await using client = await connect(proxy.config(down.config()))
    await client.query('select 1')
  })

  test('a link goes where the proxy leads at the time it is opened', async () => {
    await using standby = await cluster.standby()
    await using proxy = await FaultProxy.start(cluster)
    const recovering = 'select pg_is_in_recovery() as standby'
    await using before = await connectThrough(proxy)
    proxy.retarget(standby)
    await using after = await connectThrough(proxy)
    expect((await before.query(recovering)).rows).toEqual([{ standby: false }])
    expect((await after.query(recovering)).rows).toEqual([{ standby: true }])
  })
})

test('disposing of the proxy closes every connection and rejects the callers that still wait for one', async () => {
  const proxy = await FaultProxy.start(cluster)
  const client = await connectThrough(proxy)
  const dead = await connectThrough(proxy)
  proxy.swallow({ links: ({ id }) => id === 2 })
  const next = proxy.nextLink()
  await proxy[Symbol.asyncDispose]()
  await expect(next).rejects.toMatchObject({ code: 'PROXY_CLOSED' })
  await until(() => client.errors[0] && dead.errors[0])
  await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await until(async () => (await cluster.countSessions()) === 0)
})

test('a pool through the proxy needs no cast', async () => {
  await using proxy = await FaultProxy.start(cluster)
  const pool = new pg.Pool(proxy.config({ ...cluster.config(), max: 2 }))
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await pool.end()
})
