import type { QueryResult } from 'pg'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import type { PoolOptions } from '../../../packages/core/src/options/pool-options.ts'
import { QueryWaiter } from '../../../packages/core/src/pool-callers.ts'
import type { PoolEvent, Wants } from '../../../packages/core/src/telemetry/events.ts'
import type { FakeBackend } from '../../support/fake-client.ts'
import { EngineFixture } from '../engine/engine-fixture.ts'

/** One call of `pool.query`, and what its caller was told. */
export class Call {
  readonly text: string
  isTold = false
  error: (Error & { code?: string }) | undefined
  result: QueryResult | undefined
  /** How often it was told: more than once is a bug. */
  told = 0

  constructor(fixture: EngineFixture, text: string, query: unknown = text) {
    this.text = text
    const done = (error: Error | null | undefined, result?: QueryResult): void => {
      this.told++
      this.isTold = true
      this.error = error ?? undefined
      this.result = result
    }
    fixture.engine.acquire(new QueryWaiter(query, undefined, done, true, fixture.engine, undefined, undefined))
  }

  /** What it has come to: its error, its result (the fake server answers `select 2` by the tag `select 2`), or nothing. */
  get answer(): string | undefined {
    if (this.told > 1) return `told ${this.told} times`
    return this.error?.message ?? (this.result && `${this.result.command} ${this.result.rowCount}`)
  }
}

/** Texts that are known to be fast. */
export const READS = ['select 1', 'select 2', 'select 3', 'select 4', 'select 5'] as const

/** A pool of open, proven connections that share reads, with READS known. */
export async function sharedEngine(
  options: PoolOptions = {},
  listens: { toLeases: boolean } = { toLeases: false },
): Promise<EngineFixture> {
  const isOfLease = (type: PoolEvent['type']): boolean => /^connection-(?:leased|released)$/.test(type)
  const wants: Wants = (type) => (isOfLease(type) ? () => listens.toLeases : true)
  const fixture = new EngineFixture({ max: 1, maxPipeline: 3, prePing: false, ...options }, {}, wants)
  const { max = 1 } = options
  await fixture.fill(max)
  for (const connection of fixture.engine.inventory.all()) connection.session.servedBy(connection.backendPid)
  for (const text of READS)
    for (let run = 0; run < 5; run++) {
      new Call(fixture, text)
      await fixture.clock.advance(0)
    }
  for (const backend of fixture.server.backends) backend.received.length = 0
  return fixture
}

/** Has a session answer what lies unanswered, one statement after the other, and waits for what follows from it. */
export async function answer(fixture: EngineFixture, backend: FakeBackend = fixture.server.backend(1)): Promise<void> {
  backend.answer()
  await fixture.clock.advance(0)
}

/** The statements in flight on this connection. */
export function inFlight(connection: Connection): number {
  return connection.statements.inFlight.sent.length
}
