import { expect, test } from 'vitest'
import { CommitResolver, type ResolverSession } from '../../../packages/core/src/commit/resolver.ts'
import type { Row } from '../../../packages/core/src/commit/server-report.ts'
import { Timelines } from '../../../packages/core/src/commit/timelines.ts'
import type { ServerIdentity, TransactionIdentity } from '../../../packages/core/src/commit/verdict.ts'
import { ConnectError } from '../../../packages/core/src/errors.ts'
import type { Host } from '../../../packages/core/src/options/hosts.ts'
import { systemClock } from '../../../packages/core/src/runtime/clock.ts'
import { systemError } from '../../support/fake-client.ts'

interface Server {
  readonly identity: ServerIdentity
  readonly status: string
}

const OURS: TransactionIdentity = {
  backendPid: 4711,
  backendStart: '1000',
  systemIdentifier: '7',
  timeline: '00000001',
  postmasterStart: '10',
  statisticsStart: '20',
  transactionId: '757',
}

/** A pooler in transaction mode: outside of a transaction each statement goes to the next server. */
class Pooler {
  readonly #servers: readonly Server[]
  #next = 0
  #pinned: Server | undefined
  readonly asked: string[] = []

  constructor(servers: readonly Server[]) {
    this.#servers = servers
  }

  readonly openSession = async (): Promise<ResolverSession> => ({
    ask: (sql) => new Promise((resolve) => setImmediate(() => resolve(this.#answer(sql)))),
    close() {},
  })

  #answer(sql: string): Row[] {
    this.asked.push(sql.split(' ', 1)[0] ?? '')
    if (/^begin/.test(sql)) this.#pinned = this.#nextServer()
    const server = this.#pinned ?? this.#nextServer()
    if (/^rollback/.test(sql)) this.#pinned = undefined
    if (sql.includes('pg_xact_status')) return [{ status: server.status }]
    if (sql.includes('next_xid')) return [{ server: textOf(server.identity), next_xid: '900', is_first: 'false' }]
    return []
  }

  #nextServer(): Server {
    return this.#servers[this.#next++ % this.#servers.length] as Server
  }
}

function textOf({
  backendPid,
  backendStart,
  systemIdentifier,
  timeline,
  postmasterStart,
  statisticsStart,
}: ServerIdentity) {
  return [backendPid, backendStart, systemIdentifier, timeline, postmasterStart, statisticsStart].join(' ')
}

function resolverOver({ openSession }: Pooler): CommitResolver {
  return new CommitResolver({ openSession, clock: systemClock, timeoutMillis: 3000, onFenced: () => {} })
}

const HERE: Host = { host: 'h1', port: 5432 }
const THERE: Host = { host: 'h2', port: 5432 }

/** A resolver of a pool with two hosts, the first of which, where the transaction was, can't be reached. */
function resolverFor(
  there: Pooler,
  timeoutMillis = 300,
  hosts: (Host | undefined)[] = [],
  timelines: Timelines = new Timelines(),
): CommitResolver {
  return new CommitResolver({
    openSession: async (host) => {
      hosts.push(host)
      if (host === THERE) return await there.openSession()
      throw new ConnectError({ host: 'h1', port: 5432, database: 'app' }, systemError('ECONNREFUSED'))
    },
    otherHosts: (host) => [HERE, THERE].filter((each) => each !== host),
    timelines,
    clock: systemClock,
    timeoutMillis,
    onFenced: () => {},
  })
}

const OLD: Server = { identity: OURS, status: 'in progress' }
const FAILED_OVER = { unknown: 'the server has failed over: timeline 00000001 has become 00000002' }
const PROMOTED: Server = { identity: { ...OURS, timeline: '00000002' }, status: 'committed' }

test('does not take what one server behind a pooler says for the words of another', async () => {
  const verdict = await resolverOver(new Pooler([OLD, OLD, PROMOTED])).resolve(OURS)
  expect(verdict).toEqual(FAILED_OVER)
})

test('keeps the statements of concurrent inquiries apart', async () => {
  const pooler = new Pooler([OLD, PROMOTED])
  const resolver = resolverOver(pooler)
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => resolver.resolve(OURS)))
  expect(new Set(verdicts.map((verdict) => JSON.stringify(verdict)))).toEqual(new Set([JSON.stringify(FAILED_OVER)]))
  const transactions = pooler.asked.join(' ').split('rollback')
  for (const statements of transactions.slice(0, -1))
    expect(statements.trim()).toMatch(/^(?:select )?begin select select select$/)
})

test('believes another host only that it was promoted in place of the one that is gone', async () => {
  expect(await resolverFor(new Pooler([PROMOTED])).resolve(OURS, HERE)).toEqual(FAILED_OVER)
})

test.each<[string, Server]>([
  ['on the same timeline, such as a copy', { identity: OURS, status: 'aborted' }],
  ['on an older timeline', { identity: { ...OURS, timeline: '00000000' }, status: 'aborted' }],
  ['of another system', { identity: { ...PROMOTED.identity, systemIdentifier: '9' }, status: 'aborted' }],
])('believes nothing of another host %s', async (_which, server) => {
  const verdict = await resolverFor(new Pooler([server])).resolve(OURS, HERE)
  expect(verdict).toEqual({ unknown: expect.stringMatching(/^no answer within .* ECONNREFUSED/) })
})

test('waits for no host once the pool knows of a promotion', async () => {
  const timelines = new Timelines()
  timelines.note(OURS.systemIdentifier, '00000002')
  const hosts: (Host | undefined)[] = []
  expect(await resolverFor(new Pooler([]), 300, hosts, timelines).resolve(OURS, HERE)).toEqual(FAILED_OVER)
  expect(hosts).toEqual([])
})

test('asks one time only for all transactions that a promotion has cut off', async () => {
  const hosts: (Host | undefined)[] = []
  const resolver = resolverFor(new Pooler([PROMOTED]), 300, hosts)
  const first = await resolver.resolve(OURS, HERE)
  const others = await Promise.all([resolver.resolve(OURS, HERE), resolver.resolve(OURS, HERE)])
  expect([first, ...others]).toEqual([FAILED_OVER, FAILED_OVER, FAILED_OVER])
  expect(hosts).toEqual([HERE, THERE])
})

test('fences a session only on its own host', async () => {
  const hosts: (Host | undefined)[] = []
  await resolverFor(new Pooler([PROMOTED]), 800, hosts).fence(OURS, HERE)
  expect(new Set(hosts)).toEqual(new Set([HERE]))
})
