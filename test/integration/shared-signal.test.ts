import { getEventListeners } from 'node:events'
import { Pool } from '@holdfast/core'
import { expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

const MANY = 20_000

function listenersOf(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}

test('a signal that many waiters share has one listener, and they reject in the order of their arrival', async ({
  direct,
}) => {
  await using pool = new Pool({ ...direct, max: 1 })
  using _holder = await pool.connect()
  const controller = new AbortController()
  const { signal } = controller
  const reason = new Error('enough')
  const told: number[] = []
  const waiting = Array.from({ length: MANY }, async (_, place) => {
    const request = place % 2 === 0 ? pool.connect({ signal }) : pool.query({ text: 'select 1', signal })
    const isReason = await request.then(
      () => false,
      (error) => error === reason,
    )
    if (isReason) told.push(place)
  })
  expect(pool.waitingCount).toBe(MANY)
  expect(listenersOf(signal)).toBe(1)
  controller.abort(reason)
  expect(pool.waitingCount).toBe(0)
  await Promise.all(waiting)
  // Within each kind: a query rejects in another tick than a connect.
  const [connects, queries] = [0, 1].map((rest) => told.filter((place) => place % 2 === rest))
  expect(connects).toEqual(Array.from({ length: MANY / 2 }, (_, index) => 2 * index))
  expect(queries).toEqual(Array.from({ length: MANY / 2 }, (_, index) => 2 * index + 1))
  expect(listenersOf(signal)).toBe(0)
})

test('a signal that many run under has one listener, and none when all have ended', async ({ direct, cluster }) => {
  await using pool = new Pool({ ...direct, max: 5 })
  const controller = new AbortController()
  const { signal } = controller
  const run = (text: string): Promise<unknown>[] => Array.from({ length: 5 }, () => pool.query({ text, signal }))
  const answered = run('select 1')
  expect(listenersOf(signal)).toBe(1)
  await Promise.all(answered)
  expect(listenersOf(signal)).toBe(0)
  const cancelled = run('select pg_sleep(60)').map(rejection)
  const isRunning = { state: 'active', applicationName: direct.application_name } as const
  await until(async () => (await cluster.sessions(isRunning)).length === 5, { what: 'all to run' })
  expect(listenersOf(signal)).toBe(1)
  controller.abort()
  for (const reason of await Promise.all(cancelled)) expect(reason).toBe(signal.reason)
  expect(listenersOf(signal)).toBe(0)
})
