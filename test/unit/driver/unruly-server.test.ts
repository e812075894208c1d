import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import pg from 'pg'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { fakeTime, realTime } from '../../support/fake-clock.ts'
import { conversations, runConversation } from './model/conversation.ts'

/**
 * Random conversations of the real pool and the real driver with a server that makes one fault. `npm test` runs the same
 * ones each time. HOLDFAST_RUNS runs so many new ones. A failure prints a seed and a path, and
 *
 *     HOLDFAST_SEED=<seed> HOLDFAST_PATH=<path> npx vitest run --project unit test/unit/driver/unruly-server.test.ts
 *
 * replays it.
 */
const { HOLDFAST_RUNS, HOLDFAST_SEED, HOLDFAST_PATH } = process.env
const numRuns = Number(HOLDFAST_RUNS ?? 3000)
const seed = HOLDFAST_SEED ? Number(HOLDFAST_SEED) : HOLDFAST_RUNS ? undefined : 20_261_130

const rejected: unknown[] = []
const keepRejection = (reason: unknown): unknown => rejected.push(reason)

beforeEach(() => {
  rejected.length = 0
  process.on('unhandledRejection', keepRejection)
  fakeTime({ immediates: false })
  vi.spyOn(Math, 'random').mockReturnValue(0)
})

afterEach(() => {
  process.off('unhandledRejection', keepRejection)
  realTime()
})

test('with the stock pg.Pool, some of these conversations end the process', { timeout: 60_000 }, async () => {
  const uncaught: unknown[] = []
  for (const conversation of fc.sample(conversations(false), { numRuns: 300, seed: 20_261_130 })) {
    const outcome = await runConversation(conversation, pg.Pool)
    uncaught.push(...outcome.uncaught)
  }
  expect(uncaught.map(String)).not.toEqual([])
})

test('whatever a server sends, the process goes on, every caller is told in time, and the slot is free again', {
  timeout: 60_000 + numRuns * 50,
}, async () => {
  let runs = 0
  let warmHeap = 0
  const property = fc.asyncProperty(conversations(true), async (conversation) => {
    const { uncaught, complaints } = await runConversation(conversation)
    expect({ uncaught, complaints, rejected }).toEqual({ uncaught: [], complaints: [], rejected: [] })
    if (++runs === WARM_RUNS) warmHeap = usedHeap()
  })
  await fc.assert(property, {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(HOLDFAST_PATH && { path: HOLDFAST_PATH }),
  })
  // A pool that isn't collected takes more than 10 KB.
  if (warmHeap > 0) expect((usedHeap() - warmHeap) / (runs - WARM_RUNS)).toBeLessThan(2000)
})

const WARM_RUNS = 500

function usedHeap(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
