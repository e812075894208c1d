import { setTimeout as sleep } from 'node:timers/promises'
import { type Pool, PoolOverloadedError } from '@holdfast/core'
import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast, StockPool } from '../faults/support/pools.ts'
import { settles } from '../faults/support/settling.ts'

const SIZE = 5
const PATIENCE_MILLIS = 1000
const FAST_SECONDS = 0.002
const SLOW_SECONDS = 0.25

interface Outcomes {
  inTime: number
  tooLate: number
  readonly errors: unknown[]
}

/** The server gets slow for a while, and callers come as if it were not. */
async function slowServer(pool: pg.Pool): Promise<Outcomes> {
  const outcomes: Outcomes = { inTime: 0, tooLate: 0, errors: [] }
  let seconds = FAST_SECONDS
  const call = async (): Promise<void> => {
    const from = performance.now()
    try {
      await pool.query('select pg_sleep($1)', [seconds])
      if (performance.now() - from <= PATIENCE_MILLIS) outcomes.inTime++
      else outcomes.tooLate++
    } catch (error) {
      outcomes.errors.push(error)
    }
  }
  const calls: Promise<void>[] = []
  const come = async (millis: number): Promise<void> => {
    for (const until = performance.now() + millis; performance.now() < until; ) {
      calls.push(call())
      await sleep(10)
    }
  }
  await come(300)
  seconds = SLOW_SECONDS
  await come(2000)
  seconds = FAST_SECONDS
  await come(1000)
  await settles(Promise.all(calls), 'the calls')
  return outcomes
}

test('stock pg.Pool: callers that came while the server was slow get their answer when they have given up', async ({
  direct,
}) => {
  await using pool = new StockPool({ ...direct, max: SIZE })
  const { tooLate } = await slowServer(pool)
  expect(tooLate).toBeGreaterThan(50)
})

test('shedding: while the server is slow, callers are refused early, and hardly any is answered too late', async ({
  cluster,
  direct,
}) => {
  await using pool: Pool = holdfast({ ...direct, max: SIZE, shedding: true })
  const { tooLate, inTime, errors } = await slowServer(pool)
  for (const error of errors) expect(error).toBeInstanceOf(PoolOverloadedError)
  expect(errors.length).toBeGreaterThan(50)
  // Those that came in the first interval, before the pool could know.
  expect(tooLate).toBeLessThan(errors.length / 4)
  expect(inTime).toBeGreaterThan(0)
  expect(pool.stats().acquires.refused).toBe(errors.length)
  await expectHealthy(pool, cluster, direct.application_name)
})
