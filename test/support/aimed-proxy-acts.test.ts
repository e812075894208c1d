import type pg from 'pg'
import { describe, expect, test } from 'vitest'
import { deferred } from './deferred.ts'
import { createEntries, started, writer } from './fixtures/aimed-writer.ts'
import { startOwnCluster } from './fixtures/own-cluster.ts'
import { AimedProxy, type Cluster, type NamedAct, type Point, until } from './index.ts'
import { connect, type TestClient } from './test-client.ts'

const COMMIT = /^commit$/i
const POINTS: readonly Point[] = ['before-forward', 'after-forward', 'on-reply']
const LOST = 'Connection terminated unexpectedly'

let lastMarker = 0
let cluster: Cluster

startOwnCluster(async (started) => {
  cluster = started
  await createEntries(cluster)
})

function connectThrough(proxy: AimedProxy): Promise<TestClient> {
  return connect(proxy.config(cluster.config()))
}

interface HeldCommit {
  readonly commit: ReturnType<typeof started>
  readonly client: TestClient
  /** Holds the lock that the server waits for before it carries COMMIT out, if COMMIT is held after it was forwarded. */
  readonly admin: pg.Client
  isWritten(): Promise<boolean>
}

/** Does something to the backend of a COMMIT, or to its server, while COMMIT is held at a point. */
async function actOnCommit(
  point: Point,
  act: (backendPid: number) => Promise<void>,
  check: (held: HeldCommit) => Promise<void>,
): Promise<void> {
  await using proxy = await AimedProxy.start(cluster)
  const { client, isWritten } = await writer(cluster, proxy, { waits: point === 'after-forward' })
  await using _ = client
  await cluster.withAdmin(async (admin) => {
    await admin.query('select pg_advisory_lock(1)')
    const shot = proxy.aim({ statement: COMMIT, point }, async ({ backendPid: pid = 0 }) => {
      if (point === 'after-forward') await until(() => cluster.countSessions({ pid, state: 'active' }))
      await act(pid)
    })
    const commit = started(client.query('commit'))
    await shot.fired
    await check({ commit, client, admin, isWritten })
  })
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
  ])('a COMMIT is lost with its connection %s, by %s', async (point, act, answer, written) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy)
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
  ])('a COMMIT is swallowed %s, with %s', async (point, act, passed) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy)
    await using _ = client
    await using other = await connectThrough(proxy)
    const shot = proxy.aim({ statement: COMMIT, point }, act)
    const commit = started(client.query('commit'))
    const link = await shot.fired
    if (passed.request) await until(isWritten)
    if (passed.reply) await commit.settled

    // Another link is as it was, and by the time it has answered, this one would have, too.
    const marker = `later_${++lastMarker}`
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

  test('a COMMIT is swallowed, its client has left: the server does not learn of that before the link is cut', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client } = await writer(cluster, proxy)
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
  test("a COMMIT held back before it is forwarded hasn't reached the server; then it goes on", async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy)
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

  test('a COMMIT held back after it was forwarded has the server busy or done, and the client gets no answer', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy, { waits: true })
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

  test('a COMMIT held back on its reply has been carried out by the server, and not before', async () => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy, { waits: true })
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
  ])('the backend of a held COMMIT is killed %s', async (point, written, answer) => {
    const kill = async (pid: number): Promise<void> => {
      await cluster.terminateBackends({ pid })
      await until(async () => (await cluster.countSessions({ pid })) === 0)
    }
    await actOnCommit(point, kill, async ({ commit, client, isWritten }) => {
      await commit.settled
      expect(commit.answer()).toBe(answer)
      await until(() => client.errors.some(({ message }) => message === LOST))
      expect(await isWritten()).toBe(written)
    })
  })

  test.each<[Point, boolean]>([
    ['before-forward', false],
    ['after-forward', false],
    ['on-reply', true],
  ])('the server of a held COMMIT is restarted %s', async (point, written) => {
    const restart = (): Promise<void> => cluster.restart('immediate')
    await actOnCommit(point, restart, async ({ commit, client, isWritten }) => {
      await commit.settled
      expect(commit.answer()).toMatch(written ? /resolved/ : /57P02|ECONNRESET|terminated/)
      await until(() => client.errors.length > 0)
      expect(await isWritten()).toBe(written)
    })
  })

  test.each<[Point, string | undefined]>([
    ['before-forward', undefined],
    ['after-forward', undefined],
    ['on-reply', 'resolved'],
  ])('the server of a held COMMIT is frozen %s', async (point, answer) => {
    const freeze = (): Promise<void> => cluster.freeze()
    await actOnCommit(point, freeze, async ({ commit, admin, isWritten }) => {
      if (answer) await commit.settled
      expect(commit.answer()).toBe(answer)
      await cluster.thaw()
      await admin.query('select pg_advisory_unlock(1)')
      await commit.settled
      expect(commit.answer()).toBe('resolved')
      expect(await isWritten()).toBe(true)
    })
  })

  test.each(POINTS)('the act decides what becomes of a held COMMIT %s', async (point) => {
    await using proxy = await AimedProxy.start(cluster)
    const { client, isWritten } = await writer(cluster, proxy)
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

  test.each(POINTS)(
    'an act that fails on a held COMMIT %s rejects the shot, and the message goes on',
    async (point) => {
      await using proxy = await AimedProxy.start(cluster)
      const { client, isWritten } = await writer(cluster, proxy)
      await using _ = client
      const failure = new Error('no luck')
      const shot = proxy.aim({ statement: COMMIT, point }, () => Promise.reject(failure))
      await client.query('commit')
      await expect(shot.fired).rejects.toBe(failure)
      expect(await isWritten()).toBe(true)
    },
  )
})
