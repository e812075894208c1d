import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { TransactionAttempt } from '../../../packages/core/src/runtime/transaction-attempt.ts'
import { serverError, systemError } from '../../support/fake-client.ts'
import { type Acquisition, EngineFixture } from './engine-fixture.ts'

/** Makes one call of one check throw. Every check is wrapped, because the next mistake may be in any of them. */
const throwing = vi.hoisted(() => ({
  name: '',
  countdown: 0,
  calls: new Map<string, number>(),
  step(name: string): void {
    this.calls.set(name, (this.calls.get(name) ?? 0) + 1)
    if (name === this.name && --this.countdown === 0)
      throw new RangeError(`Maximum call stack size exceeded in ${name}`)
  },
  wrap<Module extends object>(module: Module): Module {
    const wrapOne = ([name, value]: [string, unknown]): [string, unknown] => {
      if (typeof value !== 'function' || value.prototype?.constructor?.toString().startsWith('class'))
        return [name, value]
      return [
        name,
        (...args: unknown[]) => {
          this.step(name)
          return value(...args)
        },
      ]
    }
    return Object.fromEntries(Object.entries(module).map(wrapOne)) as Module
  },
}))

vi.mock('../../../packages/core/src/policy/retirement.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/liveness.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/reset.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/backoff.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/loss.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/reach.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/classify-error.ts', async (original) =>
  throwing.wrap(await original<object>()),
)
vi.mock('../../../packages/core/src/policy/retry.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/sqlstate.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/policy/pooler-words.ts', async (original) =>
  throwing.wrap(await original<object>()),
)
vi.mock('../../../packages/core/src/sql/statement.ts', async (original) => throwing.wrap(await original<object>()))
vi.mock('../../../packages/core/src/engine/timeout-error.ts', async (original) =>
  throwing.wrap(await original<object>()),
)
vi.mock('../../../packages/core/src/engine/timeout-error.ts', async (original) =>
  throwing.wrap(await original<object>()),
)

const MAX = 2
const OPTIONS = {
  max: MAX,
  connectionTimeoutMillis: 5000,
  maxLifetimeSeconds: 60,
  idleTimeoutMillis: 20_000,
  prePing: { idleMillis: 500, timeoutMillis: 300 },
} as const

/** Ignores an error: the test only asks whether it costs a slot. */
async function ignoringErrors(act: () => unknown): Promise<void> {
  try {
    await act()
  } catch {}
}

function held(calls: Acquisition[]): Acquisition[] {
  return calls.filter(({ connection }) => connection?.is('leased'))
}

/** A history of a pool in which every check is called. */
async function runHistory(fixture: EngineFixture): Promise<void> {
  const calls: Acquisition[] = []
  const ask = (options?: object): Promise<void> => ignoringErrors(() => calls.push(fixture.acquire(options)))
  const pass = (millis: number): Promise<void> => ignoringErrors(() => fixture.clock.advance(millis))
  const query = (sql: string): Promise<void> =>
    ignoringErrors(async () => {
      held(calls)[0]
        ?.leased.client.query(sql)
        .catch(() => {})
      await fixture.clock.advance(0)
    })
  const release = async (discard?: Error): Promise<void> => {
    for (const call of held(calls)) await ignoringErrors(() => call.release(discard))
    await pass(0)
  }
  const backends = () => fixture.server.backends.filter(({ isOpen }) => isOpen)

  for (let caller = 0; caller < MAX + 1; caller++) await ask()
  await pass(0)
  await query('select 1')
  await query('begin')
  await release()
  await pass(10)
  await release()
  await pass(1000)
  await ask() // Pinged first.
  await pass(10)
  await ignoringErrors(() => backends()[0]?.disappear())
  await pass(10)
  await ask()
  await pass(10)
  const outer = new TransactionAttempt(1)
  await ask({ attempt: outer })
  outer.startFunction()
  await ask({ attempt: new TransactionAttempt(1, outer) })
  await pass(6000) // A waiter times out.
  await release()
  await ask()
  for (const backend of backends()) backend.silent = true
  await query('select 1') // Is under way when its connection dies.
  await ignoringErrors(() => backends()[0]?.terminate(serverError('57P01', 'terminating connection', 'FATAL')))
  await pass(10)
  await release(new Error('unwell'))
  fixture.server.welcome = systemError('ECONNREFUSED')
  await ask()
  await pass(500)
  fixture.server.welcome = 'accept'
  await pass(3000)
  await release()
  await ignoringErrors(() => fixture.engine.invalidate(new Error('a failover')))
  await pass(30_000)
  await ask()
  await pass(70_000)
  await release()
}

/** Every slot exists, and a caller can get it. */
async function expectAllSlots(fixture: EngineFixture): Promise<void> {
  await ignoringErrors(() => fixture.clock.advance(10_000))
  for (const connection of fixture.engine.inventory.all())
    if (connection.is('leased')) await ignoringErrors(() => fixture.engine.release(connection))
  await fixture.clock.advance(10_000)
  expect(fixture.counts.waiting).toBe(0)
  const calls = fixture.acquireMany(MAX)
  await fixture.clock.advance(2000)
  expect(calls.map(({ connection }) => connection?.state)).toEqual(calls.map(() => 'leased'))
  for (const call of calls) call.release()
  await fixture.clock.advance(10)
  expect(fixture.counts).toEqual({ total: MAX, idle: MAX, waiting: 0 })
}

let unhandled: string[] = []
const note = (error: unknown): void => void unhandled.push(String(error))
beforeEach(() => {
  unhandled = []
  process.on('unhandledRejection', note)
})
afterEach(() => {
  throwing.name = ''
  process.off('unhandledRejection', note)
})

test('this history of a pool calls every check', async () => {
  using fixture = new EngineFixture(OPTIONS)
  await runHistory(fixture)
  await expectAllSlots(fixture)
  const asked = [
    'consequenceOf',
    'endsSession',
    'expiryOf',
    'factsOf',
    'isUnexpectedMessage',
    'judgeLoss',
    'kindOf',
    'lookForDeadlock',
    'mayConnectAgain',
    'poolerMeaning',
    'proofDue',
    'quickened',
    'reachOf',
    'reasonToRetire',
    'refusalOf',
    'resetPlan',
    'severityOf',
    'silenceMillis',
    'timeoutError',
  ]
  expect([...throwing.calls.keys()]).toEqual(expect.arrayContaining(asked))
})

describe('an exception in a check', () => {
  test('an exception in a check costs no slot, whichever check throws, and whenever', {
    timeout: 120_000,
  }, async () => {
    throwing.calls.clear()
    {
      using fixture = new EngineFixture(OPTIONS)
      await runHistory(fixture)
    }
    const violations: string[] = []
    for (const [name, count] of [...throwing.calls])
      for (let call = 1; call <= Math.min(count, 40); call++) {
        const fixture = new EngineFixture(OPTIONS)
        throwing.name = name
        throwing.countdown = call
        await runHistory(fixture)
        throwing.name = ''
        try {
          await expectAllSlots(fixture)
        } catch (error) {
          violations.push(`${name}, call ${call}: ${String(error).split('\n')[0]}`)
        }
        await ignoringErrors(() => fixture[Symbol.dispose]())
      }
    expect(violations).toEqual([])
    expect(unhandled).toEqual([])
  })
})
