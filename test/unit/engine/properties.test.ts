import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histories, hooks, options } from './interleavings.ts'
import { SimulatedPool } from './simulated-pool.ts'

/**
 * Random histories of small pools. `npm test` runs the same ones each time; `npm run fuzz` runs many new ones. A failure
 * prints a seed and a path, and
 *
 *     HOLDFAST_SEED=<seed> HOLDFAST_PATH=<path> npx vitest run --project unit test/unit/engine/properties.test.ts
 *
 * replays it.
 */
const { HOLDFAST_RUNS, HOLDFAST_SEED, HOLDFAST_PATH } = process.env
const numRuns = Number(HOLDFAST_RUNS ?? 1500)
const seed = HOLDFAST_SEED ? Number(HOLDFAST_SEED) : HOLDFAST_RUNS ? undefined : 8_500_123

test('slots, waiters, sessions and sockets add up, in whatever order things happen', {
  timeout: 60_000 + numRuns * 50,
}, async () => {
  const property = fc.asyncProperty(options, hooks, histories, fc.boolean(), async (given, hook, history, recovers) => {
    await using pool = new SimulatedPool(given, hook)
    for (const step of history) {
      await pool.perform(step)
      expect(pool.violations, `after ${JSON.stringify(step)}`).toEqual([])
    }
    if (recovers) await pool.recover()
    expect(pool.violations, 'after the server had recovered').toEqual([])
    await pool.end()
    expect(pool.violations, 'after the end').toEqual([])
  })
  await fc.assert(property, {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(HOLDFAST_PATH && { path: HOLDFAST_PATH }),
  })
})
