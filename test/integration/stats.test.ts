import { PingTimeoutError } from '@holdfast/core'
import { expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

test('stats() counts what happened on a real server: losses, retries, prepared statements', async ({
  cluster,
  direct,
}) => {
  await using pool = holdfast({ ...direct, max: 2 })
  await pool.ready()
  await pool.ping()
  for (let time = 0; time < 10; time++) await pool.query('select $1::int as it', [time])
  await cluster.terminateBackends({ applicationName: direct.application_name })
  await until(() => pool.stats().connections.retired.lost > 0)
  await pool.transaction(async (tx) => {
    if (tx.attempt === 1) await rejection(tx.query('select pg_terminate_backend(pg_backend_pid())'))
    await tx.query('select 1')
  })
  const stats = pool.stats()
  expect(stats.statements.prepared).toBeGreaterThan(0)
  expect(stats.connections.lost['57P01']).toBeGreaterThanOrEqual(2)
  expect(stats.connections.opened).toBeGreaterThanOrEqual(3)
  expect(stats.retries.transactions).toBe(1)
  expect(stats.acquires).toMatchObject({ refused: 0, cancelled: 0, timedOut: 0 })
  expect(stats.acquires.total).toBeGreaterThanOrEqual(13)
  await until(() => pool.stats().leases.ended === pool.stats().acquires.total)
  expect(JSON.parse(JSON.stringify(stats))).toEqual(stats)
})

test('ping() rejects when the network swallows everything, and resolves when it is back', async ({
  proxy,
  proxied,
}) => {
  await using pool = holdfast({ ...proxied, max: 1 })
  await pool.ready()
  proxy.swallow()
  expect(await rejection(pool.ping({ timeoutMillis: 1500 }))).toBeInstanceOf(PingTimeoutError)
  await proxy.heal()
  await pool.ready()
  await pool.ping()
})
