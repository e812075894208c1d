import { expect, test } from 'vitest'
import { PoolDeadlockError, TransactionTimeoutError } from '../../../packages/core/src/errors.ts'
import { TransactionAttempt } from '../../../packages/core/src/runtime/transaction-attempt.ts'
import { type Acquisition, EngineFixture } from './engine-fixture.ts'

const NEVER = { max: 1, connectionTimeoutMillis: 0, prePing: false } as const
const MINUTE = 60_000

/** A transaction whose function runs, on a connection of this pool. */
async function running(
  fixture: EngineFixture,
  outer?: TransactionAttempt,
): Promise<{ attempt: TransactionAttempt; call: Acquisition }> {
  const attempt = new TransactionAttempt(1, outer, new Error('asked for here'))
  const call = fixture.acquire({ attempt })
  await fixture.clock.advance(0)
  attempt.startFunction()
  return { attempt, call }
}

test('without a deadline a waiter is told of a deadlock when nothing has happened for a minute', async () => {
  using fixture = new EngineFixture(NEVER)
  const outer = await running(fixture)
  const inner = fixture.acquire({ attempt: new TransactionAttempt(1, outer.attempt) })
  await fixture.clock.advance(MINUTE - 1)
  expect(inner.error).toBeUndefined()
  await fixture.clock.advance(1)
  expect(inner.error).toBeInstanceOf(PoolDeadlockError)
  expect(inner.error?.cause).toBe(outer.attempt.origin)
  outer.call.release()
  expect(fixture.counts).toEqual({ total: 1, idle: 1, waiting: 0 })
})

test('without a deadline no waiter is told while the outer transaction does something', async () => {
  using fixture = new EngineFixture(NEVER)
  const outer = await running(fixture)
  const inner = fixture.acquire({ attempt: new TransactionAttempt(1, outer.attempt) })
  for (let second = 0; second < 300; second++) {
    void outer.call.leased.client.query('select 1')
    await fixture.clock.advance(1000)
  }
  expect(inner.error).toBeUndefined()
  outer.call.release()
  expect(inner.leased.id).toBe(1)
  inner.release()
  await fixture.clock.advance(2 * MINUTE)
  expect(fixture.clock.timers('process')).toBe(0)
})

test('without a deadline a waiter that gives up leaves no timer', async () => {
  using fixture = new EngineFixture(NEVER)
  const outer = await running(fixture)
  const controller = new AbortController()
  fixture.acquire({ attempt: new TransactionAttempt(1, outer.attempt), signal: controller.signal })
  expect(fixture.clock.timers('process')).toBe(1)
  controller.abort()
  expect(fixture.clock.timers('process')).toBe(0)
})

test.each([
  [
    'the function of the outer one has returned',
    ({ attempt }: { attempt: TransactionAttempt }) => attempt.endFunction(),
  ],
  ['the outer one has ended', ({ attempt }: { attempt: TransactionAttempt }) => attempt.end()],
  [
    'a statement of it is under way',
    ({ call }: { call: Acquisition }, fixture: EngineFixture) => {
      for (const backend of fixture.server.backends) backend.silent = true
      void call.leased.client.query('select 1').catch(() => {})
    },
  ],
])('it is no deadlock when %s', async (_what, happens) => {
  using fixture = new EngineFixture({ max: 1, connectionTimeoutMillis: 1000, prePing: false })
  const outer = await running(fixture)
  const inner = fixture.acquire({ attempt: new TransactionAttempt(1, outer.attempt) })
  happens(outer, fixture)
  await fixture.clock.advance(1000)
  expect(inner.error?.code).toBe('HOLDFAST_POOL_TIMEOUT')
})

test('it is no deadlock while one connection is held by a caller that waits for no other', async () => {
  using fixture = new EngineFixture({ max: 2, connectionTimeoutMillis: 1000, prePing: false })
  const outer = await running(fixture)
  const other = await running(fixture)
  const inner = fixture.acquire({ attempt: new TransactionAttempt(1, outer.attempt) })
  await fixture.clock.advance(1000)
  expect(inner.error?.code).toBe('HOLDFAST_POOL_TIMEOUT')
  const [mine, its] = [outer, other].map(({ attempt }) =>
    fixture.acquire({ attempt: new TransactionAttempt(1, attempt) }),
  )
  await fixture.clock.advance(1000)
  for (const call of [mine, its]) expect(call?.error?.code).toBe('HOLDFAST_POOL_DEADLOCK')
})

test('a deadlock includes all transactions around the one that waits', async () => {
  using fixture = new EngineFixture({ max: 2, connectionTimeoutMillis: 1000, prePing: false })
  const outermost = await running(fixture)
  const middle = await running(fixture, outermost.attempt)
  const inner = fixture.acquire({ attempt: new TransactionAttempt(1, middle.attempt) })
  await fixture.clock.advance(1000)
  expect(inner.error?.code).toBe('HOLDFAST_POOL_DEADLOCK')
})

test.each([
  ['the deadline of a transaction', new TransactionTimeoutError(5), 'HOLDFAST_POOL_DEADLOCK'],
  ['anything else', Object.assign(new Error('enough'), { code: 'ENOUGH' }), 'ENOUGH'],
])('a signal reports a deadlock if its reason is %s', async (_what, reason, code) => {
  using fixture = new EngineFixture({ max: 1, prePing: false })
  const outer = await running(fixture)
  const controller = new AbortController()
  const inner = fixture.acquire({ attempt: new TransactionAttempt(1, outer.attempt), signal: controller.signal })
  controller.abort(reason)
  expect(inner.error?.code).toBe(code)
})
