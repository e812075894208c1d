import { expect, test } from 'vitest'
import { CommitResolver } from '../../../packages/core/src/commit/resolver.ts'
import type { ServerIdentity, TransactionIdentity } from '../../../packages/core/src/commit/verdict.ts'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import type { DriverQuery } from '../../../packages/core/src/driver/internals.ts'
import { systemClock } from '../../../packages/core/src/runtime/clock.ts'

type Question = DriverQuery & { readonly text: string }

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

/** A pooler of transactions: what is asked outside of one is answered by whichever server comes next. */
class Pooler {
  readonly #servers: readonly Server[]
  #next = 0
  #pinned: Server | undefined
  readonly asked: string[] = []

  constructor(servers: readonly Server[]) {
    this.#servers = servers
  }

  readonly openAside = async (): Promise<Connection> => {
    const queue: Question[] = []
    const pulse = (): void => {
      const question = queue.shift()
      if (question) setImmediate(() => question.callback?.(null, { rows: this.#answer(question.text) } as never))
    }
    const client = { _queryable: true, _ending: false, _queryQueue: queue, _pulseQueryQueue: pulse }
    return { client, begin: () => ({}), end() {}, lose() {}, async close() {} } as unknown as Connection
  }

  #answer(sql: string): object[] {
    this.asked.push(sql.split(' ', 1)[0] ?? '')
    if (/^begin/.test(sql)) this.#pinned = this.#turn()
    const server = this.#pinned ?? this.#turn()
    if (/^rollback/.test(sql)) this.#pinned = undefined
    if (sql.includes('pg_xact_status')) return [{ status: server.status }]
    if (sql.includes('next_xid')) return [{ server: textOf(server.identity), next_xid: '900', is_first: 'false' }]
    return []
  }

  #turn(): Server {
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

function inquiryOf(pooler: Pooler): CommitResolver {
  return new CommitResolver({ connector: pooler, clock: systemClock, patienceMillis: 3000, onFenced: () => {} })
}

const OLD: Server = { identity: OURS, status: 'in progress' }
const FAILED_OVER = { unknown: 'the server has failed over: timeline 00000001 has become 00000002' }
const PROMOTED: Server = { identity: { ...OURS, timeline: '00000002' }, status: 'committed' }

test('a server is never believed what another one behind the same pooler says of itself', async () => {
  const verdict = await inquiryOf(new Pooler([OLD, OLD, PROMOTED])).find(OURS)
  expect(verdict).toEqual(FAILED_OVER)
})

test('nor do inquiries get into one another, however many ask at once', async () => {
  const pooler = new Pooler([OLD, PROMOTED])
  const inquiry = inquiryOf(pooler)
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => inquiry.find(OURS)))
  expect(new Set(verdicts.map((verdict) => JSON.stringify(verdict)))).toEqual(new Set([JSON.stringify(FAILED_OVER)]))
  const transactions = pooler.asked.join(' ').split('rollback')
  for (const statements of transactions.slice(0, -1))
    expect(statements.trim()).toMatch(/^(?:select )?begin select select select$/)
})
