import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import pg from 'pg'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { fakeTime, realTime } from '../../support/fake-clock.ts'
import { exchanges, happen } from './model/exchange.ts'

/**
 * Random exchanges with a server that goes wrong once, with the true pool and the true driver. `npm test` takes the same
 * ones each time; with HOLDFAST_RUNS there are as many, and new ones. A failure prints a seed and a path, and
 *
 *     HOLDFAST_SEED=<seed> HOLDFAST_PATH=<path> npx vitest run --project unit test/unit/driver/unruly-server.test.ts
 *
 * replays it.
 */
const { HOLDFAST_RUNS, HOLDFAST_SEED, HOLDFAST_PATH } = process.env
const numRuns = Number(HOLDFAST_RUNS ?? 3000)
const seed = HOLDFAST_SEED ? Number(HOLDFAST_SEED) : HOLDFAST_RUNS ? undefined : 20_261_130

const rejected: unknown[] = []
const note = (reason: unknown): unknown => rejected.push(reason)

beforeEach(() => {
  rejected.length = 0
  process.on('unhandledRejection', note)
  fakeTime({ immediates: false })
  vi.spyOn(Math, 'random').mockReturnValue(0)
})

afterEach(() => {
  process.off('unhandledRejection', note)
  realTime()
})

test('stock pg.Pool: some exchanges end the process', { timeout: 60_000 }, async () => {
  const uncaught: unknown[] = []
  for (const exchange of fc.sample(exchanges(false), { numRuns: 300, seed: 20_261_130 })) {
    const outcome = await happen(exchange, pg.Pool)
    uncaught.push(...outcome.uncaught)
  }
  expect(uncaught.map(String)).not.toEqual([])
})

test('whatever a server sends, no process ends, every caller is told in time, and the slot comes back', {
  timeout: 60_000 + numRuns * 50,
}, async () => {
  let runs = 0
  let warmHeap = 0
  const property = fc.asyncProperty(exchanges(true), async (exchange) => {
    const { uncaught, complaints } = await happen(exchange)
    expect({ uncaught, complaints, rejected }).toEqual({ uncaught: [], complaints: [], rejected: [] })
    if (++runs === WARM_RUNS) warmHeap = usedHeap()
  })
  await fc.assert(property, {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(HOLDFAST_PATH && { path: HOLDFAST_PATH }),
  })
  // One pool that is kept takes more than 10 KB.
  if (warmHeap > 0) expect((usedHeap() - warmHeap) / (runs - WARM_RUNS)).toBeLessThan(2000)
})

const WARM_RUNS = 500

function usedHeap(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
