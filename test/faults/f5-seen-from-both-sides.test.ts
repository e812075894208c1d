import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

describe('one wants to see it', () => {
  test('stock pg.Pool: a pool has three counts, and neither backend ids nor holders', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 2 })
    await warmUp(pool, 2)
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([2, 2, 0])
    expect('status' in pool || 'inspect' in pool).toBe(false)
  })

  test('Holdfast: what the pool says of each connection is what the server says of its session', async ({
    cluster,
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 4 })
    await warmUp(pool, 4)
    const inTransaction = await pool.connect()
    await inTransaction.query('begin')
    const failed = await pool.connect()
    const failedPid = await backendPid(failed)
    await failed.query('begin')
    await rejection(failed.query('select 1 / 0'))
    const busy = await pool.connect()
    const [transactionPid, busyPid] = await Promise.all([backendPid(inTransaction), backendPid(busy)])
    const statement = rejection(busy.query("select pg_sleep('infinity')"))
    await until(async () => (await cluster.countSessions({ pid: busyPid, state: 'active' })) === 1)

    const bySelf = pool.inspect()
    const byServer = await cluster.sessions({ applicationName: direct.application_name })

    expect(bySelf.map((each) => each.backendPid).toSorted()).toEqual(byServer.map(({ pid }) => pid).toSorted())
    const both = bySelf.map(({ backendPid: pid, state }) => [
      pid,
      state,
      byServer.find((each) => each.pid === pid)?.state,
    ])
    const [idlePid] = byServer
      .map(({ pid }) => pid)
      .filter((pid) => ![transactionPid, failedPid, busyPid].includes(pid))
    expect(both.toSorted()).toEqual(
      [
        [transactionPid, 'leased', 'idle in transaction'],
        [failedPid, 'leased', 'idle in transaction (aborted)'],
        [busyPid, 'leased', 'active'],
        [idlePid, 'idle', 'idle'],
      ].toSorted(),
    )
    expect(pool.status()).toMatchObject({ pid: process.pid, size: byServer.length, leased: 3, idle: 1 })

    await cluster.terminateBackends({ pid: busyPid })
    await statement
    busy.release()
    failed.release()
    inTransaction.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a session that ends at the server leaves the pool as well', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 2, invalidateOnDisconnect: 'one' })
    const [victim, survivor] = await warmUp(pool, 2)
    await cluster.terminateBackends({ pid: victim as number })
    await until(() => pool.status().size === 1, { what: 'the pool to notice' })
    expect(pool.inspect().map((each) => each.backendPid)).toEqual([survivor])
    expect((await cluster.sessions({ applicationName: direct.application_name })).map(({ pid }) => pid)).toEqual([
      survivor,
    ])
  })

  test('Holdfast: a session that the pool gave up, while the server holds on to it, is one that no pool knows', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const [lost] = await warmUp(pool, 1)
    proxy.swallow({ direction: 'both', connections: 'existing' })
    await settles(pool.query('select 1'), 'the statement on a new connection')

    const known = pool.inspect().map((each) => each.backendPid)
    const sessions = await cluster.sessions({ applicationName: proxied.application_name })
    expect(known).toHaveLength(1)
    expect(sessions.map(({ pid }) => pid).filter((pid) => !known.includes(pid))).toEqual([lost])
    await proxy.heal()
  })

  test("Holdfast: the log's numbers lead to the server's sessions", async ({ cluster, direct }) => {
    const lines: string[] = []
    const write = (message: string): void => {
      lines.push(message)
    }
    const logger = { debug: write, info: write, warn: write, error: write }
    await using pool = holdfast({ ...direct, max: 2, logger, echo: 'debug' })
    await warmUp(pool, 2)
    const told = lines
      .map((line) => /Created new connection (\d+) \(backend (\d+)\)/.exec(line))
      .filter((found) => found !== null)
      .map(([, id, pid]) => ({ id: Number(id), pid: Number(pid) }))
    const known = pool.inspect().map(({ id, backendPid: pid }) => ({ id, pid }))
    expect(told.toSorted((one, other) => one.id - other.id)).toEqual(known.toSorted((one, other) => one.id - other.id))
    const sessions = await cluster.sessions({ applicationName: direct.application_name })
    expect(told.map(({ pid }) => pid).toSorted()).toEqual(sessions.map(({ pid }) => pid).toSorted())
  })
})
