import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import type pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { issueCertificates } from './certificates.ts'
import { deferred } from './deferred.ts'
import { createEntries, started, writer } from './fixtures/aimed-writer.ts'
import { startOwnCluster } from './fixtures/own-cluster.ts'
import { type Act, type Aim, AimedProxy, Cluster, FaultProxy, type Point, type Shot, until } from './index.ts'
import { connect, type TestClient } from './test-client.ts'

const COMMIT = /^commit$/i
const POINTS: readonly Point[] = ['before-forward', 'after-forward', 'on-reply']
const CANCEL_REQUEST = 80877102
const LOST = 'Connection terminated unexpectedly'

let cluster: Cluster

startOwnCluster(async (started) => {
  cluster = started
  await createEntries(cluster)
})

function connectThrough(proxy: AimedProxy, extra: pg.ClientConfig = {}): Promise<TestClient> {
  return connect(proxy.config(cluster.config(extra)))
}

describe('passing', () => {
  test('the aimed proxy shows the certificate of the server, which verifies as without it, by configuration and by URL', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    await using other = await connect(proxy.config({ connectionString: cluster.url }))
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect((await other.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    const { ca } = await issueCertificates()
    const distrustful = connectThrough(proxy, { ssl: { ca } })
    await expect(distrustful).rejects.toMatchObject({ code: expect.stringMatching(/CERT|VERIFY/) })
    await until(() => proxy.links.length === 2)
    expect(proxy.accepted).toBe(3)
  })

  test('the aimed proxy leaves channel binding to client and server, which would notice another certificate', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy, { enableChannelBinding: true } as pg.ClientConfig)
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])

    const other = await issueCertificates()
    const data = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-aimed-'))
    onTestFinished(() => fs.rmSync(data, { recursive: true }))
    fs.writeFileSync(path.join(data, 'server.crt'), other.certificate)
    fs.writeFileSync(path.join(data, 'server.key'), other.key)
    const { host, port, ca } = cluster
    await using stranger = await AimedProxy.start({ host, port, ca, data })
    const config = { ssl: { ca: other.ca }, enableChannelBinding: true } as pg.ClientConfig
    await expect(connectThrough(stranger, config)).rejects.toThrow('SCRAM channel binding check failed')
  })

  test('the aimed proxy checks the certificate of the server', async () => {
    const { ca } = await issueCertificates()
    const { host, port, data } = cluster
    await using proxy = await AimedProxy.start({ host, port, ca, data })
    await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNRESET' })
    await until(() => proxy.links.length === 0)
  })

  test('the aimed proxy knows TLS that begins without being asked for', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy, { sslnegotiation: 'direct' } as pg.ClientConfig)
    const shot = proxy.aim({ statement: /two/, point: 'before-forward' }, 'rst')
    await expect(client.query('select 1 as two')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await shot.fired
  })

  test('the aimed proxy lets cancel requests through', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const sleeping = started(client.query('select pg_sleep(60)'))
    await until(() => cluster.countSessions({ state: 'active' }))
    await cancel(proxy, client)
    await sleeping.settled
    expect(sleeping.answer()).toBe('57014')
  })

  test('the aimed proxy lets connections without TLS through, and aims at none of their messages', async () => {
    await using plain = await Cluster.start({ tls: false })
    await using proxy = await AimedProxy.start(plain)
    const shot = proxy.aim({ statement: /select/, point: 'before-forward' }, 'rst')
    await using client = await connect(proxy.config(plain.config()))
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await expect(connect(proxy.config(plain.config({ ssl: true })))).rejects.toThrow('does not support SSL')
    await proxy[Symbol.asyncDispose]()
    await expect(shot.fired).rejects.toThrow('0 of 0 requests matched.')
  })

  test('the aimed proxy lets a client go on without TLS if the server has none', async () => {
    await using own = await Cluster.start({ settings: { ssl: 'off' } })
    await using proxy = await AimedProxy.start(own)
    const client = net.connect(proxy.port, proxy.host)
    onTestFinished(() => void client.destroy())
    client.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
    expect(String((await once(client, 'data'))[0])).toBe('N')
    client.write(Buffer.from('\0\0\0\x12\0\x03\0\0user\0app\0\0'))
    expect(String((await once(client, 'data'))[0])).toContain('no pg_hba.conf entry')
  })

  test('the aimed proxy resets connections to a server that is away, and leads to it when it is back', async () => {
    await using own = await Cluster.start()
    await using proxy = await AimedProxy.start(own)
    await own.stop()
    await expect(connect(proxy.config(own.config()))).rejects.toMatchObject({ code: 'ECONNRESET' })
    await own.start()
    await using client = await connect(proxy.config(own.config()))
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('the aimed proxy leads to a standby on request', async () => {
    await using own = await Cluster.start()
    await using standby = await own.standby()
    await using proxy = await AimedProxy.start(own)
    proxy.retarget(standby)
    await using client = await connect(proxy.config(own.config()))
    expect((await client.query('select pg_is_in_recovery() as standby')).rows).toEqual([{ standby: true }])
  })

  test('the aimed proxy lets large statements and rows through', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const text = 'x'.repeat(3_000_000)
    const { rows } = await client.query(`select $1::text as sent, '${text}' as said`, [text])
    expect(rows).toEqual([{ sent: text, said: text }])
  })

  test('the aimed proxy knows the ports and the process of each link', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const [session] = await cluster.sessions()
    const [link] = proxy.links
    expect(link).toMatchObject({ id: 1, serverPort: session?.clientPort, backendPid: session?.pid })
    expect(link?.clientPort).toBe(
      (client as unknown as { connection: { stream: { localPort: number } } }).connection.stream.localPort,
    )
    await client.end()
    await link?.closed
    expect(proxy.links).toEqual([])
  })

  test('the aimed proxy passes on that the server has ended the session, and why', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    await cluster.terminateBackends()
    await until(() => client.errors[1])
    expect(client.errors).toMatchObject([{ code: '57P01' }, { message: LOST }])
    await until(() => proxy.links.length === 0)
  })

  test('the aimed proxy goes together with a fault proxy', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using network = await FaultProxy.start(proxy)
    await using client = await connect(network.config(cluster.config()))
    const shot = proxy.aim({ statement: /select/, point: 'on-reply' }, () => network.cut('rst'))
    await expect(client.query('select 1')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await shot.fired
  })
})

/** Asks the server to cancel what a client runs, over a connection without TLS, as libpq's old function does. */
async function cancel(proxy: AimedProxy, client: TestClient): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const packet = Buffer.alloc(16)
  for (const [index, value] of [packet.length, CANCEL_REQUEST, processID, secretKey].entries()) {
    packet.writeInt32BE(value, index * 4)
  }
  const canceller = net.connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true })
  canceller.write(packet)
  canceller.resume()
  await once(canceller, 'end') // By then the server has signalled the process.
  canceller.end()
}

describe('aim', () => {
  /** Aims, and runs something over a connection that had written before; says whether that was written. */
  async function shootAt(
    aim: Omit<Aim, 'point'>,
    run: (client: TestClient) => Promise<unknown>,
    point: Point = 'before-forward',
    act: Act = 'rst',
  ): Promise<{ written: boolean; shot: Shot }> {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy)
    await using _ = client
    const shot = proxy.aim({ ...aim, point }, act)
    await run(client).catch(() => {})
    const link = await shot.fired
    if (act === 'rst') await link.closed
    await until(async () => (await cluster.countSessions({ state: 'active' })) === 0)
    return { written: await isWritten(), shot }
  }

  test.each<[string, (client: TestClient) => Promise<unknown>]>([
    ['a simple query', (client) => client.query('COMMIT')],
    ['an unnamed statement', (client) => client.query({ text: 'commit', queryMode: 'extended' } as pg.QueryConfig)],
    ['a named one', (client) => client.query({ text: 'commit', name: 'the end' })],
  ])('an aim finds a COMMIT in %s, at every point', async (_, run) => {
    for (const point of POINTS) {
      const written = point !== 'before-forward'
      const wait = (): Promise<unknown> => (point === 'after-forward' ? until(isIdle) : Promise.resolve())
      const result = await shootAt({ statement: COMMIT }, run, point, () => wait().then(() => 'rst'))
      await until(async () => (await cluster.countSessions()) === 0)
      expect(result.written).toBe(written)
    }
  })

  test('an aim finds a COMMIT that was prepared long before', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const commit = (): Promise<unknown> => client.query({ text: 'commit', name: 'the end' })
    await client.query('begin')
    await commit()
    await client.query('begin')
    const shot = proxy.aim({ statement: COMMIT, point: 'before-forward' }, 'fin')
    await expect(commit()).rejects.toThrow(LOST)
    await shot.fired
  })

  test('an aim finds a COMMIT among several statements, by their text; its reply is the end of all of them', async () => {
    const run = (client: TestClient): Promise<unknown> =>
      client.query(`do $$ begin raise notice 'soon' ; end $$; select pg_sleep(0.05); COMMIT; select 1`)
    const before = await shootAt({ statement: /;\s*commit\b/i }, run)
    const after = await shootAt({ statement: /;\s*commit\b/i }, run, 'on-reply')
    expect([before.written, after.written]).toEqual([false, true])
  })

  test('an aim finds BEGIN, and any other statement', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /^begin/i, point: 'on-reply' }, 'fin')
    await client.query('select 1')
    await expect(client.query('BEGIN isolation level serializable')).rejects.toThrow(LOST)
    await shot.fired
  })

  test('an aim counts what matches, on all links, and hits the one on which the n-th came', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using one = await connectThrough(proxy)
    await using two = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /\bhit\b/g, nth: 3, point: 'before-forward' }, 'rst')
    await one.query('select 1 as hit')
    await two.query('select 1 as miss')
    await two.query('select 1 as hit')
    await expect(two.query('select 1 as hit')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect((await shot.fired).id).toBe(2)
    expect((await one.query('select 1 as hit')).rows).toEqual([{ hit: 1 }])
  })

  test('an aim can be taken several times, at the same request, too', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy)
    await using _ = client
    const order: string[] = []
    const shots = POINTS.map((point) => proxy.aim({ statement: COMMIT, point }, () => void order.push(point)))
    await client.query('commit')
    await Promise.all(shots.map(({ fired }) => fired))
    expect(order).toEqual(POINTS)
    expect(await isWritten()).toBe(true)
  })

  test('an aim holds a message back for as long as any of several acts takes', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy)
    await using _ = client
    const aim: Aim = { statement: COMMIT, point: 'before-forward' }
    const short = proxy.aim(aim, () => {})
    const long = proxy.aim(aim, async () => {
      await short.fired
      await cluster.query('select 1')
      return isWritten()
    })
    let written: boolean | undefined
    const longer = proxy.aim(aim, async () => {
      await long.fired
      written = await isWritten()
    })
    await client.query('commit')
    await longer.fired
    expect(written).toBe(false)
  })

  test('an aim has forwarded an execution when the server has reason to answer it, and not before', async () => {
    for (const ask of ['sync', 'flush'] as const) {
      await using proxy = await AimedProxy.start(cluster)
      await using client = await connectThrough(proxy)
      await using other = await connectThrough(proxy)
      let isReached = false
      const shot = proxy.aim({ statement: /hit/, point: 'after-forward' }, () => {
        isReached = true
        return 'rst'
      })
      const connection = client.connection as unknown as Record<string, (argument?: unknown) => void>
      connection.parse?.({ text: 'select 1 as hit' })
      connection.bind?.({})
      connection.execute?.({})
      await other.query('select 1')
      expect(isReached).toBe(false)
      connection[ask]?.()
      await shot.fired
    }
  })

  test('an aim does not run out of time while the act takes its own', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const aim: Aim = { statement: COMMIT, point: 'before-forward', timeoutMillis: 1000 }
    const isLate = (): Promise<unknown> =>
      proxy.aim({ ...aim, statement: /never/, timeoutMillis: 1500 }, 'rst').fired.catch(() => {})
    const shot = proxy.aim(aim, isLate)
    await client.query('commit')
    expect(await shot.fired).toBe(proxy.links[0])
  })

  test('an aim distinguishes requests that are sent before replies arrive', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy, { pipeline: true } as pg.ClientConfig)
    const shot = proxy.aim({ statement: /third/, point: 'on-reply' }, 'fin')
    const queries = ['first', 'second', 'third', 'fourth'].map((name) =>
      started(client.query({ text: `select $1::int as ${name}`, values: [1] })),
    )
    await shot.fired
    await Promise.all(queries.map(({ settled }) => settled))
    expect(queries.map(({ answer }) => answer())).toEqual(['resolved', 'resolved', LOST, LOST])
  })

  test('an aim acts on the reply of a statement that fails', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /wrong/, point: 'on-reply' }, 'fin')
    await expect(client.query('select wrong')).rejects.toThrow(LOST)
    await shot.fired
  })

  test('an aim does not wait for the end of a reply that is too long to be held back', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /generate_series/, point: 'on-reply' }, () => 'nothing')
    const { rows } = await client.query('select repeat(md5(n::text), 100) from generate_series(1, 2000) n')
    expect(rows.length).toBe(2000)
    await shot.fired
  })

  test('an aim is missed in time, and reports what was sent instead', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: COMMIT, nth: 2, point: 'before-forward', timeoutMillis: 300 }, 'rst')
    await client.query('commit')
    await client.query('select 1')
    await expect(shot.fired).rejects.toMatchObject({
      code: 'AIM_TIMED_OUT',
      message: expect.stringMatching(
        /^Waited 300 ms .* request 2 of \/\^commit\$\/i, before-forward\. 1 of 2 .*\n {2}commit\n {2}select 1$/s,
      ),
    })
    await client.query('commit')
  })

  test('an aim is missed in time while the reply is held back, which then goes on', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const aim: Aim = { statement: /sleep/, point: 'on-reply', timeoutMillis: 300 }
    const shot = proxy.aim(aim, 'rst')
    const sleeping = client.query(`select repeat('x', 20000); select pg_sleep(1)`)
    await expect(shot.fired).rejects.toMatchObject({ code: 'AIM_TIMED_OUT' })
    await sleeping
  })

  test('an aim is missed when the server has gone before the request', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const swallowed = proxy.aim({ statement: /select/, point: 'on-reply' }, 'swallow-replies')
    client.connection.query('select 1')
    const { backendPid: pid = 0 } = await swallowed.fired
    await cluster.terminateBackends({ pid })
    await until(async () => (await cluster.countSessions({ pid })) === 0)
    for (const point of ['after-forward', 'on-reply'] as const) {
      const shot = proxy.aim({ statement: COMMIT, point }, 'rst')
      client.connection.query('commit')
      await expect(shot.fired).rejects.toMatchObject({ code: 'AIM_LINK_CLOSED' })
    }
  })

  test('an aim is missed when the server is gone before its point: the client gets what was sent before', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /sleep/, point: 'on-reply' }, 'rst')
    const sleeping = started(client.query('select pg_sleep(60)'))
    await until(() => cluster.countSessions({ state: 'active' }))
    const [session] = await cluster.sessions()
    process.kill(session?.pid ?? 0, 'SIGKILL')
    await expect(shot.fired).rejects.toMatchObject({ code: 'AIM_LINK_CLOSED' })
    await sleeping.settled
    expect(sleeping.answer()).toBe(LOST)
    await until(() => cluster.query('select 1')) // It has swept up after the killed process.
  })
})

describe('dispose', () => {
  test.each(POINTS)("the aimed proxy's dispose closes all, also while a message is held back %s", async (point) => {
    const proxy = await AimedProxy.start(cluster)
    const { client } = await writer(cluster, proxy)
    await using _ = client
    const reached = deferred()
    const held = proxy.aim({ statement: COMMIT, point }, () => {
      reached.resolve()
      return new Promise(() => {})
    })
    const never = proxy.aim({ statement: /never/, point }, 'rst')
    const commit = started(client.query('commit'))
    await reached.promise
    await proxy[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
    await commit.settled
    expect(commit.answer()).toBe(LOST)
    expect(proxy.links).toEqual([])
    await until(async () => (await cluster.countSessions()) === 0)
    for (const { fired } of [held, never, proxy.aim({ statement: COMMIT, point }, 'rst')]) {
      await expect(fired).rejects.toMatchObject({ code: 'AIM_PROXY_CLOSED' })
    }
    await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test("the aimed proxy's dispose does not wait for clients that have said nothing yet", async () => {
    const proxy = await AimedProxy.start(cluster)
    const silent = net.connect(proxy.port, proxy.host)
    onTestFinished(() => void silent.destroy())
    await until(() => proxy.links.length === 1)
    await proxy[Symbol.asyncDispose]()
    expect(proxy.links).toEqual([])
  })
})

async function isIdle(): Promise<boolean> {
  return (await cluster.countSessions({ state: 'idle' })) > 0
}
