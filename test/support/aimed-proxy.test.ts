import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { issueCertificates } from './certificates.ts'
import { deferred } from './deferred.ts'
import {
  type Act,
  type Aim,
  AimedProxy,
  Cluster,
  FaultProxy,
  type NamedAct,
  type Point,
  type Shot,
  until,
} from './index.ts'
import { connect, type TestClient } from './test-client.ts'

const COMMIT = /^commit$/i
const POINTS: readonly Point[] = ['before-forward', 'after-forward', 'on-reply']
const LOST = 'Connection terminated unexpectedly'

let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start()
  // With `waits`, COMMIT does not end before the advisory lock 1 can be had.
  await cluster.query(`
    create table entry (id text primary key, waits boolean not null default false);
    grant all on entry to app;
    create function wait_for_lock() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(1); return null; end $$;
    create constraint trigger waits after insert on entry deferrable initially deferred
      for each row when (new.waits) execute function wait_for_lock()`)
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await cluster.terminateBackends()
  await until(async () => (await cluster.countSessions()) === 0)
})

function connectThrough(proxy: AimedProxy, extra: pg.ClientConfig = {}): Promise<TestClient> {
  return connect(proxy.config(cluster.config(extra)))
}

let lastId = 0

/** A client whose transaction has written something, and what the server says of that. */
async function writer(
  proxy: AimedProxy,
  { waits = false } = {},
): Promise<{ client: TestClient; isWritten: () => Promise<boolean> }> {
  const id = `entry-${++lastId}`
  const client = await connectThrough(proxy)
  await client.query('begin')
  await client.query('insert into entry values ($1, $2)', [id, waits])
  return {
    client,
    isWritten: async () => (await cluster.query('select from entry where id = $1', [id])).length > 0,
  }
}

/** A query, and how it has ended so far. */
function started(query: Promise<unknown>): { answer: () => string | undefined; settled: Promise<unknown> } {
  let answer: string | undefined
  const settled = query.then(
    () => {
      answer = 'resolved'
    },
    (error: Error & { code?: string }) => {
      answer = error.code ?? error.message
    },
  )
  return { answer: () => answer, settled }
}

describe('passing', () => {
  test('shows the certificate of the server, which verifies as without it, by configuration and by URL', async () => {
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

  test('leaves channel binding to client and server, who would notice another certificate', async () => {
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

  test('checks the certificate of the server', async () => {
    const { ca } = await issueCertificates()
    const { host, port, data } = cluster
    await using proxy = await AimedProxy.start({ host, port, ca, data })
    await expect(connectThrough(proxy)).rejects.toMatchObject({ code: 'ECONNRESET' })
    await until(() => proxy.links.length === 0)
  })

  test('knows TLS that begins without being asked for', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy, { sslnegotiation: 'direct' } as pg.ClientConfig)
    const shot = proxy.aim({ statement: /two/, point: 'before-forward' }, 'rst')
    await expect(client.query('select 1 as two')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await shot.fired
  })

  test('lets cancel requests through', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const sleeping = started(client.query('select pg_sleep(60)'))
    await until(() => cluster.countSessions({ state: 'active' }))
    await cancel(proxy, client)
    await sleeping.settled
    expect(sleeping.answer()).toBe('57014')
  })

  test('lets connections without TLS through, and aims at none of their messages', async () => {
    await using plain = await Cluster.start({ tls: false })
    await using proxy = await AimedProxy.start(plain)
    const shot = proxy.aim({ statement: /select/, point: 'before-forward' }, 'rst')
    await using client = await connect(proxy.config(plain.config()))
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await expect(connect(proxy.config(plain.config({ ssl: true })))).rejects.toThrow('does not support SSL')
    await proxy[Symbol.asyncDispose]()
    await expect(shot.fired).rejects.toThrow('0 of 0 requests matched.')
  })

  test('resets connections to a server that is away, and leads to it when it is back', async () => {
    await using own = await Cluster.start()
    await using proxy = await AimedProxy.start(own)
    await own.stop()
    await expect(connect(proxy.config(own.config()))).rejects.toMatchObject({ code: 'ECONNRESET' })
    await own.start()
    await using client = await connect(proxy.config(own.config()))
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('leads to a standby when it is told to', async () => {
    await using own = await Cluster.start()
    await using standby = await own.standby()
    await using proxy = await AimedProxy.start(own)
    proxy.retarget(standby)
    await using client = await connect(proxy.config(own.config()))
    expect((await client.query('select pg_is_in_recovery() as standby')).rows).toEqual([{ standby: true }])
  })

  test('lets large statements, rows and COPY through', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const text = 'x'.repeat(3_000_000)
    const { rows } = await client.query(`select $1::text as sent, '${text}' as said`, [text])
    expect(rows).toEqual([{ sent: text, said: text }])
  })

  test('tells the ports and the process of each link', async () => {
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

  test('passes on that the server has ended the session, and why', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    await cluster.terminateBackends()
    await until(() => client.errors[1])
    expect(client.errors).toMatchObject([{ code: '57P01' }, { message: LOST }])
    await until(() => proxy.links.length === 0)
  })

  test('goes together with a fault proxy', async () => {
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
  const canceller = new pg.Connection({ ssl: false } as never) as unknown as {
    connect(port: number, host: string): void
    once(event: string, listener: () => void): void
    cancel(processID: number, secretKey: number): void
  }
  const ended = new Promise<void>((resolve) => canceller.once('end', resolve))
  canceller.once('connect', () => canceller.cancel(processID, secretKey))
  canceller.connect(proxy.port, proxy.host)
  await ended
}

describe('a COMMIT is lost with its connection', () => {
  test.each<[Point, 'fin' | 'rst', string, boolean | 'perhaps']>([
    ['before-forward', 'fin', LOST, false],
    ['before-forward', 'rst', 'ECONNRESET', false],
    ['after-forward', 'fin', LOST, true],
    // Whether the server reads what had come before the reset is up to its system.
    ['after-forward', 'rst', 'ECONNRESET', 'perhaps'],
    ['on-reply', 'fin', LOST, true],
    ['on-reply', 'rst', 'ECONNRESET', true],
  ])('%s, by %s', async (point, act, answer, written) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    const shot = proxy.aim({ statement: COMMIT, point }, act)
    const commit = started(client.query('commit'))
    const link = await shot.fired
    if (point === 'on-reply') expect(await isWritten()).toBe(true)
    await commit.settled
    expect(commit.answer()).toBe(answer)
    await link.closed
    await until(async () => (await cluster.countSessions()) === 0)
    if (written !== 'perhaps') expect(await isWritten()).toBe(written)
  })
})

describe('a COMMIT is swallowed', () => {
  /** What has passed when all was swallowed that would be. */
  interface Passed {
    /** Whether the COMMIT reached the server. */
    readonly request: boolean
    /** Whether its reply reached the client. */
    readonly reply: boolean
    /** Whether anything else reaches the server, and the client, afterwards. */
    readonly laterRequests: boolean
    readonly laterReplies: boolean
  }

  test.each<[Point, NamedAct, Passed]>([
    ['before-forward', 'swallow', { request: false, reply: false, laterRequests: false, laterReplies: false }],
    ['before-forward', 'swallow-requests', { request: false, reply: false, laterRequests: false, laterReplies: true }],
    ['before-forward', 'swallow-replies', { request: true, reply: false, laterRequests: true, laterReplies: false }],
    ['after-forward', 'swallow', { request: true, reply: false, laterRequests: false, laterReplies: false }],
    ['after-forward', 'swallow-requests', { request: true, reply: true, laterRequests: false, laterReplies: true }],
    ['after-forward', 'swallow-replies', { request: true, reply: false, laterRequests: true, laterReplies: false }],
    ['on-reply', 'swallow', { request: true, reply: false, laterRequests: false, laterReplies: false }],
    ['on-reply', 'swallow-requests', { request: true, reply: true, laterRequests: false, laterReplies: true }],
    ['on-reply', 'swallow-replies', { request: true, reply: false, laterRequests: true, laterReplies: false }],
  ])('%s, with %s', async (point, act, passed) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    await using other = await connectThrough(proxy)
    const shot = proxy.aim({ statement: COMMIT, point }, act)
    const commit = started(client.query('commit'))
    const link = await shot.fired
    if (passed.request) await until(isWritten)
    if (passed.reply) await commit.settled

    // Another link is as it was, and by the time it has answered, this one would have, too.
    const marker = `later_${lastId}`
    client.connection.query(`create table ${marker} ()`)
    await other.query('select 1')
    const [session] = await cluster.sessions({ pid: link.backendPid ?? 0 })
    expect(session?.state).toBe(passed.request ? 'idle' : 'idle in transaction')
    const isMade = async (): Promise<boolean> =>
      (await cluster.query(`select from pg_class where relname = '${marker}'`)).length > 0
    if (passed.laterRequests) await until(isMade)
    else expect(await isMade()).toBe(false)

    await cluster.terminateBackends({ pid: link.backendPid ?? 0 })
    await until(async () => (await cluster.countSessions({ pid: link.backendPid ?? 0 })) === 0)
    if (passed.laterReplies) await until(() => client.errors.length > 0 || commit.answer() === '57P01')
    await other.query('select 1')
    expect(client.errors.length > 0).toBe(passed.laterReplies)
    expect(commit.answer()).toBe(passed.reply ? 'resolved' : passed.laterReplies ? '57P01' : undefined)
    expect(await isWritten()).toBe(passed.request)
    expect(proxy.links).toContain(link)
  })

  test('and its client has left: the server does not learn of that before the link is cut', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client } = await writer(proxy)
    const shot = proxy.aim({ statement: COMMIT, point: 'before-forward' }, 'swallow')
    started(client.query('commit'))
    const link = await shot.fired
    await client[Symbol.asyncDispose]()
    expect(await cluster.countSessions({ state: 'idle in transaction' })).toBe(1)
    link.cut('rst')
    await link.closed
    await until(async () => (await cluster.countSessions()) === 0)
  })
})

describe('while a COMMIT is held back', () => {
  test('before it is forwarded, the server has not got it; then it goes on', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    let states: unknown
    const shot = proxy.aim({ statement: COMMIT, point: 'before-forward' }, async (link) => {
      states = (await cluster.sessions({ pid: link.backendPid ?? 0 })).map(({ state }) => state)
    })
    await client.query('commit')
    await shot.fired
    expect(states).toEqual(['idle in transaction'])
    expect(await isWritten()).toBe(true)
  })

  test('after it was forwarded, the server is busy with it, or done, and the client hears nothing', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy, { waits: true })
    await using _ = client
    const reached = deferred()
    const goOn = deferred()
    const shot = proxy.aim({ statement: COMMIT, point: 'after-forward' }, () => {
      reached.resolve()
      return goOn.promise
    })
    await cluster.withAdmin(async (admin) => {
      await admin.query('select pg_advisory_lock(1)')
      const commit = started(client.query('commit'))
      await reached.promise
      await until(async () => (await cluster.sessions()).some(({ waitEvent }) => waitEvent === 'advisory'))
      expect(await isWritten()).toBe(false)
      await admin.query('select pg_advisory_unlock(1)')
      await until(isWritten)
      await admin.query('select 1')
      expect(commit.answer()).toBeUndefined()
      goOn.resolve()
      await shot.fired
      await commit.settled
      expect(commit.answer()).toBe('resolved')
    })
  })

  test('on its reply, the server has carried it out, and not before', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy, { waits: true })
    await using _ = client
    const told: unknown[] = []
    const shot = proxy.aim({ statement: COMMIT, point: 'on-reply' }, async () => {
      told.push(await isWritten(), commit.answer())
    })
    let commit: ReturnType<typeof started>
    await cluster.withAdmin(async (admin) => {
      await admin.query('select pg_advisory_lock(1)')
      commit = started(client.query('commit'))
      await until(async () => (await cluster.sessions()).some(({ waitEvent }) => waitEvent === 'advisory'))
      expect(told).toEqual([])
      await admin.query('select pg_advisory_unlock(1)')
      await shot.fired
      expect(told).toEqual([true, undefined])
      await commit.settled
      expect(commit.answer()).toBe('resolved')
    })
  })

  test.each<[Point, boolean, string]>([
    ['before-forward', false, '57P01'],
    ['after-forward', false, '57P01'],
    ['on-reply', true, 'resolved'],
  ])('%s, its backend is killed', async (point, written, answer) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy, { waits: point === 'after-forward' })
    await using _ = client
    await cluster.withAdmin(async (admin) => {
      await admin.query('select pg_advisory_lock(1)')
      const shot = proxy.aim({ statement: COMMIT, point }, async (link) => {
        const pid = link.backendPid ?? 0
        if (point === 'after-forward') await until(() => cluster.countSessions({ pid, state: 'active' }))
        await cluster.terminateBackends({ pid })
        await until(async () => (await cluster.countSessions({ pid })) === 0)
      })
      const commit = started(client.query('commit'))
      await shot.fired
      await commit.settled
      expect(commit.answer()).toBe(answer)
      await until(() => client.errors.some(({ message }) => message === LOST))
      expect(await isWritten()).toBe(written)
    })
  })

  test.each<[Point, boolean]>([
    ['before-forward', false],
    ['on-reply', true],
  ])('%s, the server is restarted', async (point, written) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    const shot = proxy.aim({ statement: COMMIT, point }, () => cluster.restart('immediate'))
    const commit = started(client.query('commit'))
    await shot.fired
    await commit.settled
    expect(commit.answer()).toMatch(written ? /resolved/ : /57P02|ECONNRESET|terminated/)
    await until(() => client.errors.length > 0)
    expect(await isWritten()).toBe(written)
  })

  test.each<[Point, string | undefined]>([
    ['before-forward', undefined],
    ['on-reply', 'resolved'],
  ])('%s, the server is frozen', async (point, answer) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    const shot = proxy.aim({ statement: COMMIT, point }, () => cluster.freeze())
    const commit = started(client.query('commit'))
    await shot.fired
    if (answer) await commit.settled
    expect(commit.answer()).toBe(answer)
    await cluster.thaw()
    await commit.settled
    expect(commit.answer()).toBe('resolved')
    expect(await isWritten()).toBe(true)
  })

  test.each(POINTS)('%s, the act decides what becomes of it', async (point) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    const shot = proxy.aim({ statement: COMMIT, point }, async () => {
      if (point === 'after-forward') await until(isWritten)
      return 'rst'
    })
    await expect(client.query('commit')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await shot.fired
    await until(async () => (await cluster.countSessions()) === 0)
    expect(await isWritten()).toBe(point !== 'before-forward')
  })

  test.each(POINTS)('%s, the act fails: that is told, and the message goes on', async (point) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    const failure = new Error('no luck')
    const shot = proxy.aim({ statement: COMMIT, point }, () => Promise.reject(failure))
    await client.query('commit')
    await expect(shot.fired).rejects.toBe(failure)
    expect(await isWritten()).toBe(true)
  })
})

describe('aim', () => {
  /** Aims, and runs something over a connection that had written before; says whether that was written. */
  async function shootAt(
    aim: Omit<Aim, 'point'>,
    run: (client: TestClient) => Promise<unknown>,
    point: Point = 'before-forward',
    act: Act = 'rst',
  ): Promise<{ written: boolean; shot: Shot }> {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
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
  ])('finds a COMMIT in %s, at every point', async (_, run) => {
    for (const point of POINTS) {
      const written = point !== 'before-forward'
      const wait = (): Promise<unknown> => (point === 'after-forward' ? until(isIdle) : Promise.resolve())
      const result = await shootAt({ statement: COMMIT }, run, point, () => wait().then(() => 'rst'))
      await until(async () => (await cluster.countSessions()) === 0)
      expect(result.written).toBe(written)
    }
  })

  test('finds a COMMIT that was prepared long before', async () => {
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

  test('finds a COMMIT among several statements, by their text; its reply is the end of all of them', async () => {
    const run = (client: TestClient): Promise<unknown> =>
      client.query(`do $$ begin raise notice 'soon' ; end $$; select pg_sleep(0.05); COMMIT; select 1`)
    const before = await shootAt({ statement: /;\s*commit\b/i }, run)
    const after = await shootAt({ statement: /;\s*commit\b/i }, run, 'on-reply')
    expect([before.written, after.written]).toEqual([false, true])
  })

  test('finds BEGIN, and any other statement', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /^begin/i, point: 'on-reply' }, 'fin')
    await client.query('select 1')
    await expect(client.query('BEGIN isolation level serializable')).rejects.toThrow(LOST)
    await shot.fired
  })

  test('counts what matches, on all links, and hits the one on which the n-th came', async () => {
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

  test('can be taken several times, at the same request, too', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(proxy)
    await using _ = client
    const order: string[] = []
    const shots = POINTS.map((point) => proxy.aim({ statement: COMMIT, point }, () => void order.push(point)))
    await client.query('commit')
    await Promise.all(shots.map(({ fired }) => fired))
    expect(order).toEqual(POINTS)
    expect(await isWritten()).toBe(true)
  })

  test('tells requests from each other that are sent before replies come', async () => {
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

  test('acts on the reply of a statement that fails', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /wrong/, point: 'on-reply' }, 'fin')
    await expect(client.query('select wrong')).rejects.toThrow(LOST)
    await shot.fired
  })

  test('does not wait for the end of a reply that is too long to be held back', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: /generate_series/, point: 'on-reply' }, () => 'nothing')
    const { rows } = await client.query('select repeat(md5(n::text), 100) from generate_series(1, 2000) n')
    expect(rows.length).toBe(2000)
    await shot.fired
  })

  test('is missed in time, and tells what was asked instead', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const shot = proxy.aim({ statement: COMMIT, nth: 2, point: 'on-reply', timeoutMillis: 300 }, 'rst')
    await client.query('commit')
    await client.query('select 1')
    await expect(shot.fired).rejects.toMatchObject({
      code: 'AIM_TIMED_OUT',
      message: expect.stringMatching(
        /^Waited 300 ms .* request 2 of \/\^commit\$\/i, on-reply\. 1 of 2 .*\n {2}commit\n {2}select 1$/s,
      ),
    })
    await client.query('commit')
  })

  test('is missed in time while the reply is held back, which then goes on', async () => {
    await using proxy = await AimedProxy.start(cluster)
    await using client = await connectThrough(proxy)
    const aim: Aim = { statement: /sleep/, point: 'on-reply', timeoutMillis: 300 }
    const shot = proxy.aim(aim, 'rst')
    const sleeping = client.query(`select repeat('x', 20000); select pg_sleep(1)`)
    await expect(shot.fired).rejects.toMatchObject({ code: 'AIM_TIMED_OUT' })
    await sleeping
  })

  test('is missed when the server has gone before its point: the client hears what there is to hear', async () => {
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
  test.each(POINTS)('closes all, also while a message is held back %s', async (point) => {
    const proxy = await AimedProxy.start(cluster)
    const { client } = await writer(proxy)
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

  test('does not wait for clients that have said nothing yet', async () => {
    const proxy = await AimedProxy.start(cluster)
    const silent = new pg.Connection({ ssl: false } as never) as unknown as {
      connect(port: number, host: string): void
    }
    silent.connect(proxy.port, proxy.host)
    await until(() => proxy.links.length === 1)
    await proxy[Symbol.asyncDispose]()
    expect(proxy.links).toEqual([])
  })
})

async function isIdle(): Promise<boolean> {
  return (await cluster.countSessions({ state: 'idle' })) > 0
}
