import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import { adminShutdown, type FakeBackend, serverError, systemError } from '../../support/fake-client.ts'
import type { Acquisition, EngineFixture } from '../engine/engine-fixture.ts'
import { Call, READS, sharedEngine } from './shared-engine.ts'

/**
 * Random histories of pools that share connections. `npm test` runs the same ones each time; `npm run fuzz` runs many new ones.
 * A failure prints a seed and a path, and
 *
 *     HOLDFAST_SEED=<seed> HOLDFAST_PATH=<path> npx vitest run --project unit test/unit/multiplex/histories.test.ts
 *
 * replays it.
 */
const { HOLDFAST_RUNS, HOLDFAST_SEED, HOLDFAST_PATH } = process.env
const numRuns = Number(HOLDFAST_RUNS ?? 100)
const seed = HOLDFAST_SEED ? Number(HOLDFAST_SEED) : HOLDFAST_RUNS ? undefined : 1_500_123

const BROKEN = 'select 6'
const STALE = 'select 7'
const WRITES = ['insert 1', 'begin'] as const
const TEXTS = [...READS, BROKEN, STALE]

const number = fc.nat(20)
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('read' as const), text: fc.constantFrom(...TEXTS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read in time' as const), text: fc.constantFrom(...READS) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('write' as const), text: fc.constantFrom(...WRITES) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lease' as const), givesUp: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: number }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('answer' as const), which: number }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), millis: fc.constantFrom(0, 0, 3, 30, 60, 300) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('lose' as const),
      which: number,
      how: fc.constantFrom('FIN', '57P01', 'ECONNRESET'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('invalidate' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

/** A pool that goes through a history, and what its callers were told. */
class History {
  readonly calls: Call[] = []
  readonly #fixture: EngineFixture
  readonly #depth: number
  readonly #leases: { readonly lease: Acquisition; readonly abort: AbortController; isOver: boolean }[] = []
  losses = 0

  constructor(fixture: EngineFixture, depth: number) {
    this.#fixture = fixture
    this.#depth = depth
  }

  async perform(what: Step): Promise<void> {
    const { clock, engine } = this.#fixture
    for (const backend of this.#open()) this.#prepare(backend, true)
    for (const connection of engine.inventory.all()) connection.session.servedBy(connection.backendPid)
    if (what.do === 'read') this.calls.push(new Call(this.#fixture, what.text))
    else if (what.do === 'read in time')
      this.calls.push(new Call(this.#fixture, what.text, { text: what.text, query_timeout: 40 }))
    else if (what.do === 'write') this.calls.push(new Call(this.#fixture, what.text))
    else if (what.do === 'lease') this.#lease(what.givesUp)
    else if (what.do === 'release') this.#release(what.which)
    else if (what.do === 'answer') nth(this.#open(), what.which)?.answer()
    else if (what.do === 'lose') this.#lose(what.which, what.how)
    else if (what.do === 'invalidate') engine.invalidate(new Error('a failover'))
    await clock.advance(what.do === 'pass' ? what.millis : 0)
    this.#check()
  }

  /** Everything is answered and released. */
  async end(): Promise<void> {
    for (let round = 0; round < 30; round++) {
      for (const backend of this.#open()) {
        this.#prepare(backend, false)
        backend.answer()
      }
      for (const { lease, abort } of this.#leases) {
        abort.abort(new Error('given up'))
        this.#releaseLease(lease)
      }
      await this.#fixture.clock.advance(round < 20 ? 5 : 1000)
    }
    this.#check()
  }

  #lease(givesUp: boolean): void {
    const abort = new AbortController()
    this.#leases.push({ lease: this.#fixture.acquire({ signal: abort.signal }), abort, isOver: false })
    if (givesUp) process.nextTick(() => abort.abort(new Error('given up')))
  }

  #release(which: number): void {
    const held = nth(
      this.#leases.filter(({ lease, isOver }) => lease.connection && !isOver),
      which,
    )
    if (held) this.#releaseLease(held.lease)
  }

  #releaseLease(lease: Acquisition): void {
    const known = this.#leases.find((each) => each.lease === lease)
    if (!known || known.isOver || !lease.connection) return
    known.isOver = true
    lease.release()
  }

  #lose(which: number, how: 'FIN' | '57P01' | 'ECONNRESET'): void {
    const backend = nth(this.#open(), which)
    if (!backend) return
    this.losses++
    if (how === 'FIN') backend.disappear()
    else if (how === '57P01') backend.terminate(Object.assign(adminShutdown(), { routine: 'ProcessInterrupts' }))
    else backend.fail(systemError('ECONNRESET'))
  }

  #open(): FakeBackend[] {
    return this.#fixture.server.backends.filter(({ isOpen }) => isOpen)
  }

  #prepare(backend: FakeBackend, silent: boolean): void {
    backend.silent = silent && backend.pid % 3 > 0
    backend.failures.set(BROKEN, serverError('22012', 'division by zero'))
    backend.failures.set(STALE, serverError('0A000', 'cached plan must not change result type'))
  }

  /** What holds at each moment. */
  #check(): void {
    for (const connection of this.#fixture.engine.inventory.all()) {
      const texts = inFlightOn(connection)
      expect(texts.length).toBeLessThanOrEqual(this.#depth)
      if (texts.length > 1) expect(texts.filter((text) => !TEXTS.includes(text as never))).toEqual([])
    }
    expect(this.calls.filter(({ told }) => told > 1)).toEqual([])
  }
}

function inFlightOn({ statements }: Connection): (string | undefined)[] {
  return statements.inFlight.sent.map(({ text }) => text)
}

function nth<Item>(list: readonly Item[], place: number): Item | undefined {
  return list[place % Math.max(1, list.length)]
}

/** What the caller of this text may be told. */
function isRight({ text, answer, error }: Call, losses: number, inTime: boolean): boolean {
  // A session that was opened during a step knows no failures yet.
  if (answer === text) return true
  if (text === BROKEN) return answer === 'division by zero'
  if (text === STALE) return answer === 'cached plan must not change result type'
  if (text === 'begin' && answer === 'begin null') return true
  const isLoss = error?.name === 'ConnectionLostError'
  return isLoss && (losses > 0 || inTime)
}

test('each caller has its own answer, once, and connections add up, in whatever order things happen', {
  timeout: 60_000 + numRuns * 50,
}, async () => {
  const sizes = fc.record({ max: fc.integer({ min: 1, max: 3 }), maxPipeline: fc.integer({ min: 2, max: 5 }) })
  const property = fc.asyncProperty(sizes, fc.array(step, { maxLength: 40 }), async (options, steps) => {
    using fixture = await sharedEngine(options)
    const history = new History(fixture, options.maxPipeline)
    for (const each of steps) await history.perform(each)
    await history.end()
    const isInTime = steps.some((each) => each.do === 'read in time')
    const wrong = history.calls.filter(
      (call) => !isRight(call, history.losses, isInTime) && !(isInTime && call.error?.message === 'Query read timeout'),
    )
    expect(wrong.map(({ text, answer }) => [text, answer])).toEqual([])
    const { total, idle, waiting } = fixture.counts
    expect({ busy: total - idle, waiting }).toEqual({ busy: 0, waiting: 0 })
  })
  await fc.assert(property, {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(HOLDFAST_PATH && { path: HOLDFAST_PATH }),
  })
})
