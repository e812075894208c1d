import { OptionsError } from '@holdfast/core'
import { drain, transaction } from '@holdfast/typeorm'
import type { DataSource } from 'typeorm'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { isPending, rejection, settles } from '../../faults/support/settling.ts'
import { deferred } from '../../support/deferred.ts'
import { until } from '../../support/index.ts'
import { Entry } from '../subjects/typeorm-stock.ts'
import { busyBackend, written } from '../support/health.ts'
import { addressOf, connected, poolOf, replicasOf, stock, withHoldfast } from './support/data-source.ts'

const LONG = 20_000

describe('drain()', () => {
  test('destroy() alone cuts off running statements', async ({ direct, applicationName, cluster }) => {
    for (const make of [stock, withHoldfast]) {
      const source = make({ ...addressOf(direct), applicationName })
      await source.initialize()
      const running = rejection(source.transaction((manager) => manager.query('select pg_sleep(1)')))
      await busyBackend({ cluster, applicationName }, 'pg_sleep')
      await source.destroy()
      expect(await running).toBeInstanceOf(Error)
    }
  })

  test('drain() waits for running statements and for waiters, serves new callers, and leaves destroy() nothing to cut off', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    const source = await connected({ ...addressOf(direct), applicationName, poolSize: 1 })
    const goOn = deferred()
    const running = source.transaction(async (manager) => {
      await manager.insert(Entry, { id: 'running' })
      await goOn.promise
      await manager.insert(Entry, { id: 'running on' })
    })
    await until(() => poolOf(source).status().leased === 1)
    const waiting = source.manager.insert(Entry, { id: 'waiting' })
    await until(() => poolOf(source).waitingCount === 1)
    const drained = drain(source, LONG)
    const asked = source.manager.insert(Entry, { id: 'new' })
    expect(await isPending(drained)).toBe(true)
    goOn.resolve()
    expect(await settles(drained, 'drain()')).toBe(true)
    await settles(Promise.all([running, waiting, asked]), 'all statements')
    await source.destroy()
    expect(await written(cluster, 'running', 'running on', 'waiting', 'new')).toEqual([
      'new',
      'running',
      'running on',
      'waiting',
    ])
    await until(async () => (await cluster.countSessions({ applicationName })) === 0)
  })

  test('drain() waits for a waiter that opens a connection', async ({ proxy, proxied, applicationName, cluster }) => {
    const source = await connected({ ...addressOf(proxied), applicationName })
    await cluster.terminateBackends({ applicationName })
    await until(() => poolOf(source).totalCount === 0)
    proxy.delay(100)
    const waiting = source.query('select 1 as it')
    await until(() => poolOf(source).waitingCount === 1)
    const drained = drain(source, LONG)
    expect(poolOf(source).status()).toMatchObject({ leased: 0, waiting: 1 })
    expect(await isPending(drained)).toBe(true)
    expect(await settles(drained, 'drain()')).toBe(true)
    expect(await settles(waiting, 'the query')).toEqual([{ it: 1 }])
    await source.destroy()
  })

  test('drain() resolves with false when the time is up: running statements are cut off, and waiters are refused', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    const source = await connected({ ...addressOf(direct), applicationName, poolSize: 1 })
    const running = rejection(source.query('select pg_sleep(60)'))
    await busyBackend({ cluster, applicationName }, 'pg_sleep')
    const waiting = rejection(source.query('select 1'))
    await until(() => poolOf(source).waitingCount === 1)
    expect(await settles(drain(source, 50), 'drain()')).toBe(false)
    const TIME_IS_UP = 'The pool was drained, and its time was up after 50 ms'
    expect(await settles(running, 'what ran')).toMatchObject({ driverError: { cause: { message: TIME_IS_UP } } })
    expect(await settles(waiting, 'who waited')).toMatchObject({ code: 'HOLDFAST_POOL_CLOSED', message: TIME_IS_UP })
    expect(await rejection(source.query('select 1'))).toMatchObject({ message: TIME_IS_UP })
    await settles(source.destroy(), 'destroy()')
  })

  test('drain() resolves at once when nothing runs, may be called twice, and leaves initialize() working', async ({
    direct,
  }) => {
    const source = await connected(addressOf(direct))
    expect(await settles(Promise.all([drain(source, LONG), drain(source, LONG)]), 'both')).toEqual([true, true])
    await source.destroy()
    expect(await drain(source, LONG)).toBe(true)
    await source.initialize()
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    await source.destroy()
  })

  test('drain() does not wait for a leased connection that has died', async ({ cluster, direct, applicationName }) => {
    const source = await connected({ ...addressOf(direct), applicationName })
    const runner = source.createQueryRunner()
    await runner.connect() // Never released.
    const drained = drain(source, LONG)
    await cluster.terminateBackends({ applicationName })
    expect(await settles(drained, 'drain()')).toBe(true)
    await source.destroy()
  })

  test('drain() waits for reads on replicas', async ({ cluster, direct, applicationName }) => {
    const master = addressOf(direct)
    const replica = { ...master, host: 'localhost' }
    const source = await connected({ replication: { master, slaves: [replica] }, applicationName })
    const runner = source.createQueryRunner('slave')
    await runner.query('select 1')
    expect(replicasOf(source)[0]?.status().leased).toBe(1)
    const drained = drain(source, LONG)
    expect(await isPending(drained)).toBe(true)
    const another = source.createQueryRunner('slave')
    await another.query('select 1')
    await another.release()
    expect(await isPending(drained)).toBe(true)
    await runner.release()
    expect(await settles(drained, 'drain()')).toBe(true)
    await source.destroy()
    await until(async () => (await cluster.countSessions({ applicationName })) === 0)
  })

  test('drain() does not wait for a replica that is down', async ({ direct, proxy, proxied, applicationName }) => {
    const replication = { master: addressOf(direct), slaves: [addressOf(proxied)] }
    const source = await connected({ replication, applicationName })
    proxy.cut('rst')
    proxy.refuse()
    const read = (): Promise<unknown> =>
      source.createQueryBuilder().select('1', 'it').from('(select 1)', 'one').getRawOne()
    const isChecked = async (): Promise<boolean> => {
      expect(await read()).toEqual({ it: 1 })
      return replicasOf(source)[0]?.waitingCount === 1
    }
    await until(isChecked, { what: 'a waiter for the replica' })
    expect(await settles(drain(source, LONG), 'drain()')).toBe(true)
    await source.destroy()
  })

  test("drain() refuses a time that isn't a number from 0 to 2^31 - 1, and pools that aren't Holdfast's", async ({
    direct,
  }) => {
    const source = await connected(addressOf(direct))
    for (const millis of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '5 s', undefined])
      await expect(drain(source, millis as number)).rejects.toThrow(OptionsError)
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    await source.destroy()
    const others = stock(addressOf(direct))
    await others.initialize()
    await expect(drain(others, LONG)).rejects.toThrow(OptionsError)
    await expect(transaction(others, async () => {})).rejects.toThrow('holdfast(options) or driverFor(pool)')
    await others.destroy()
    const [sqlite, old, none] = [{ driver: {} }, { driver: { master: poolOf(source) } }, undefined]
    for (const wrong of [sqlite, old, none]) {
      await expect(drain(wrong as unknown as DataSource, LONG)).rejects.toThrow('typeorm >=1.0 <2')
      await expect(transaction(wrong as unknown as DataSource, async () => {})).rejects.toThrow('typeorm >=1.0 <2')
    }
  })
})
