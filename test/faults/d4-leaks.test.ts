import type { Pool } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const LEAK_MILLIS = 100

/** A logger, and the warnings that it was given. */
function warnings(): {
  readonly told: string[]
  readonly logger: Record<'debug' | 'info' | 'warn' | 'error', () => void>
} {
  const told: string[] = []
  const ignore = (): void => {}
  const warn = (message?: unknown): void => void told.push(String(message))
  return { told, logger: { debug: ignore, info: ignore, error: ignore, warn } }
}

const LEAKING = [
  {
    how: 'connect()',
    leak: async function forgetsToRelease(pool: Pool) {
      const client = await pool.connect()
      return () => client.release()
    },
  },
  {
    how: 'connect(callback)',
    leak: function forgetsToRelease(pool: Pool) {
      return new Promise<() => void>((resolve) => {
        pool.connect((_error, _client, release) => resolve(() => release()))
      })
    },
  },
  {
    how: 'a statement that takes too long',
    leak: async function forgetsToRelease(pool: Pool) {
      const controller = new AbortController()
      void unattended(pool.query({ text: "select pg_sleep('infinity')", signal: controller.signal }))
      await until(() => pool.status().leased > 0)
      return () => controller.abort()
    },
  },
]

describe('never released', () => {
  test('stock pg.Pool: clients that are never released cause no message', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    await pool.connect()
    const next = unattended(pool.query('select 1'))
    await until(() => pool.waitingCount === 1)
    expect(await isPending(next)).toBe(true)
    expect('inspect' in pool).toBe(false)
  })

  test.for(LEAKING)(
    'Holdfast: a lease that is never released is warned of once, with the stack that acquired it: $how',
    async ({ leak }, { cluster, direct }) => {
      const { told, logger } = warnings()
      await using pool = holdfast({ ...direct, max: 2, leakDetectionMillis: LEAK_MILLIS, logger })
      const release = await leak(pool)
      const [leaked] = pool.inspect()
      await until(() => told.length === 1)
      expect(told[0]).toContain(`Connection leak detection triggered for connection ${leaked?.id}`)
      expect(told[0]).toContain(`(backend ${leaked?.backendPid})`)
      expect(told[0]).toMatch(/forgetsToRelease.*d4-leaks/)
      expect(leaked?.holder).toMatch(/forgetsToRelease.*d4-leaks/)

      // When the next one is reported, the first has been checked again.
      const other = await pool.connect()
      await until(() => told.length > 1)
      expect(told).toEqual([told[0], expect.stringContaining(`(backend ${await backendPid(other)})`)])

      release()
      await until(() => told.length > 2)
      expect(told[2]).toContain(`Previously reported leaked connection ${leaked?.id} (backend ${leaked?.backendPid})`)
      other.release()
      await expectHealthy(pool, cluster, direct.application_name)
      expect(told).toHaveLength(4)
    },
  )

  test("Holdfast: the first line of a leak's stack is the program’s own", async ({ direct }) => {
    const { told, logger } = warnings()
    await using pool = holdfast({ ...direct, max: 1, leakDetectionMillis: LEAK_MILLIS, logger })
    const client = await pool.connect()
    await until(() => told.length === 1)
    expect(told[0]?.split('\n')[1]).toMatch(/^ +at .*d4-leaks/)
    client.release()
  })

  test('Holdfast: the timeout error says who has the connection, and inspect() where it was acquired', async ({
    direct,
  }) => {
    const { logger } = warnings()
    await using pool = holdfast({
      ...direct,
      max: 1,
      leakDetectionMillis: LEAK_MILLIS,
      logger,
      connectionTimeoutMillis: 400,
    })
    const client = await pool.connect()
    const pid = await backendPid(client)
    const error = await rejection(pool.query('select 1'))
    expect(error).toMatchObject({ details: { longestLease: { backendPid: pid } } })
    expect(pool.inspect()).toMatchObject([
      { backendPid: pid, state: 'leased', holder: expect.stringContaining('d4-leaks') },
    ])
    client.release()
    expect(pool.inspect()).toMatchObject([{ backendPid: pid, state: 'idle', holder: undefined }])
  })

  test('Holdfast: a connection that died unreleased was a leak, and frees its slot', async ({ cluster, direct }) => {
    const { told, logger } = warnings()
    await using pool = holdfast({ ...direct, max: 1, leakDetectionMillis: LEAK_MILLIS, logger })
    const client = await pool.connect()
    const pid = await backendPid(client)
    await until(() => told.length === 1)
    await cluster.terminateBackends({ pid })
    await settles(pool.query('select 1'), 'the next statement')
    client.release()
    expect(told).toHaveLength(2)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: without a logger, the warning of a leak goes where Node’s own go', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1, leakDetectionMillis: LEAK_MILLIS })
    const warned = new Promise((resolve) => process.once('warning', resolve))
    const client = await pool.connect()
    expect(await settles(warned, 'the warning')).toMatchObject({
      name: 'HoldfastWarning',
      code: 'HOLDFAST_LEASE_OVERDUE',
      message: expect.stringContaining('Connection leak detection triggered'),
      detail: expect.stringContaining('d4-leaks'),
    })
    client.release()
  })

  test('Holdfast: a release in time is never reported, and without the option no stack is kept', async ({ direct }) => {
    const { told, logger } = warnings()
    await using watched = holdfast({ ...direct, max: 1, leakDetectionMillis: 60_000, logger })
    await using quick = holdfast({ ...direct, max: 1, leakDetectionMillis: LEAK_MILLIS, logger })
    await using unwatched = holdfast({ ...direct, max: 1, logger })
    const clients = await Promise.all([watched.connect(), unwatched.connect(), quick.connect()])
    expect(watched.inspect()[0]?.holder).toBeDefined()
    expect(unwatched.inspect()[0]?.holder).toBeUndefined()
    await until(() => told.length === 1)
    for (const client of clients) client.release()
    expect(told).toHaveLength(2)
  })
})
