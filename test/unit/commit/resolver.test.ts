import { expect, test } from 'vitest'
import { CommitResolver, type ResolverSession } from '../../../packages/core/src/commit/resolver.ts'
import type { Row } from '../../../packages/core/src/commit/server-report.ts'
import type { ServerIdentity, TransactionIdentity } from '../../../packages/core/src/commit/verdict.ts'
import { systemClock } from '../../../packages/core/src/runtime/clock.ts'

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
