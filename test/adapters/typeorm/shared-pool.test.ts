import { isRetryable } from '@holdfast/core'
import { drain, driverFor, transaction } from '@holdfast/typeorm'
import { DataSource, type DataSourceOptions } from 'typeorm'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { holdfast } from '../../faults/support/pools.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { Entry } from '../subjects/typeorm-stock.ts'
import { written } from '../support/health.ts'
import { poolOf } from './support/data-source.ts'

function sharing(pool: Parameters<typeof driverFor>[0], options: Partial<DataSourceOptions> = {}): DataSource {
  return new DataSource({
    type: 'postgres',
    driver: driverFor(pool),
    entities: [Entry],
    ...options,
  } as DataSourceOptions)
}

describe('driverFor(pool)', () => {
  test('driverFor(pool) uses the pool, leaves it open in destroy(), and may be initialised again and again', async ({
    cluster,
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    const source = sharing(pool)
    const [listeners, warnings] = [pool.listenerCount('error'), [] as Error[]]
    const noteWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', noteWarning)
    for (let time = 1; time <= 12; time++) {
      await source.initialize()
      await source.manager.insert(Entry, { id: `shared ${time}` })
      await source.destroy()
      expect(pool.status()).toMatchObject({ isClosed: false, size: 1, leased: 0 })
    }
    process.off('warning', noteWarning)
    expect(await written(cluster, 'shared 1', 'shared 12')).toEqual(['shared 1', 'shared 12'])
    expect(pool.listenerCount('error')).toBe(listeners)
    expect(warnings).toEqual([])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('driverFor(pool) shares the pool with other callers, and with other data sources', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const sources = [sharing(pool), sharing(pool)]
    for (const source of sources) await source.initialize()
    const client = await pool.connect()
    const waiting = Promise.all(sources.map((source) => source.query('select 1 as it')))
    await until(() => pool.waitingCount === 2)
    client.release()
    expect(await settles(waiting, 'both')).toEqual([[{ it: 1 }], [{ it: 1 }]])
    for (const source of sources) await source.destroy()
    expect((await pool.query('select 2 as it')).rows).toEqual([{ it: 2 }])
  })

  test("driverFor(pool) leaves none of TypeORM's listeners on a client for the next holder", async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const source = sharing(pool)
    await source.initialize()
    await source.query('select 1')
    const client = await pool.connect()
    const before = client.listenerCount('error')
    client.release()
    const runner = source.createQueryRunner()
    await runner.connect()
    expect(client.listenerCount('error')).toBe(before)
    await runner.release()
    let calls = 0
    const own = await pool.connect()
    own.on('error', () => calls++)
    expect(own.listenerCount('error')).toBe(before + 1)
    own.emit('error', new Error('for its listener'))
    expect(calls).toBe(1)
    own.release(true)
    await source.destroy()
  })

  test('driverFor(pool) reports a lost connection, and runs transactions again', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const source = sharing(pool)
    await source.initialize()
    const lost = await rejection(
      source.transaction(async (manager) => {
        await manager.insert(Entry, { id: 'lost' })
        await cluster.terminateBackends({ applicationName: direct.application_name })
        await until(() => pool.totalCount === 0)
        await manager.insert(Entry, { id: 'never' })
      }),
    )
    expect(isRetryable(lost)).toBe(true)
    const attempts = await transaction(source, { retry: { minTimeout: 1 } }, async (manager, { attempt }) => {
      await manager.insert(Entry, { id: 'in the second' })
      if (attempt === 1) {
        await cluster.terminateBackends({ applicationName: direct.application_name })
        await until(() => pool.totalCount === 0)
      }
      return attempt
    })
    expect(attempts).toBe(2)
    expect(await written(cluster, 'lost', 'never', 'in the second')).toEqual(['in the second'])
    await source.destroy()
  })

  test('driverFor(pool) makes initialize() fail when the pool has ended meanwhile', async ({ direct }) => {
    const pool = holdfast(direct)
    const source = sharing(pool)
    await pool.end()
    expect(await rejection(source.initialize())).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
  })

  test('driverFor(pool) waits in drain() until nothing uses the pool, and then refuses connections to its data source only', async ({
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 2, idleTimeoutMillis: 0 })
    const source = sharing(pool)
    await source.initialize()
    expect(poolOf(source).status()).toEqual(pool.status())
    const client = await pool.connect()
    expect(await drain(source, 50)).toBe(false)
    expect(await rejection(source.query('select 1'))).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED' })
    expect((await pool.query('select 1 as it')).rows).toEqual([{ it: 1 }])
    const drained = drain(source, 20_000)
    client.release()
    expect(await settles(drained, 'drain()')).toBe(true)
    await source.destroy()
    await source.initialize()
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    await source.destroy()
  })
})

test('drain() takes what is left of a time, a fraction of a millisecond included', async ({ direct }) => {
  await using pool = holdfast(direct)
  const source = sharing(pool)
  await source.initialize()
  expect(await drain(source, 500.5)).toBe(true)
  await source.destroy()
})
