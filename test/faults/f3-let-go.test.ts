import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool, warmUp } from './support/pools.ts'
import { Program } from './support/program.ts'
import { rejection, settles } from './support/settling.ts'

describe('the parent must let go before it starts workers', () => {
  test('stock pg.Pool: before a fork the pool can only end, and is of no use afterwards', async ({ direct }) => {
    const pool = new StockPool({ ...direct, max: 2 })
    await warmUp(pool, 2)
    await pool.end()
    expect('dispose' in pool).toBe(false)
    expect((await rejection(pool.query('select 1'))).message).toContain('after calling end')
  })

  test('Holdfast: dispose() resolves when idle connections are closed, and the pool stays usable', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, max: 3 })
    const oldPids = await warmUp(pool, 3)
    await settles(pool.dispose(), 'dispose()')
    expect(pool.status()).toMatchObject({ size: 0, isClosed: false })
    expect(proxy.connections).toBe(0)
    await until(async () => (await cluster.countSessions({ applicationName: proxied.application_name })) === 0)
    const newPids = await warmUp(pool, 3)
    for (const pid of newPids) expect(oldPids).not.toContain(pid)
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: dispose() closes leased connections when they are released', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const pid = await backendPid(client)
    await client.query("begin; insert into entry values ('across dispose')")
    await settles(pool.dispose(), 'dispose()')
    const waiting = backendPid(pool)
    await client.query('commit')
    expect(pool.status()).toMatchObject({ leased: 1, size: 1, waiting: 1 })
    client.release()
    expect(await settles(waiting, 'whoever waited')).not.toBe(pid)
    expect(await cluster.query("select from entry where id = 'across dispose'")).toHaveLength(1)
    await until(async () => (await cluster.countSessions({ pid })) === 0)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: dispose() closes one that is being opened, or it is new', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    proxy.delay(Number.POSITIVE_INFINITY)
    const waiting = pool.query('select 1 as it')
    await until(() => proxy.accepted === 1)
    await settles(pool.dispose(), 'dispose()')
    await proxy.heal()
    expect((await settles(waiting, 'whoever waited')).rows).toEqual([{ it: 1 }])
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: dispose() is bounded, even if the server does not answer', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 2 })
    await warmUp(pool, 2)
    const { links } = proxy
    proxy.swallow({ connections: 'existing' })
    await settles(pool.dispose(), 'dispose()')
    await Promise.all(links.map((link) => settles(link.clientLeft, 'the socket')))
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: dispose() may be called twice, at once, with nothing there', async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    await pool.dispose()
    await warmUp(pool, 2)
    await Promise.all([pool.dispose(), pool.dispose({ close: false }), pool.dispose()])
    await expectHealthy(pool, cluster, direct.application_name)
    await pool.end()
    await settles(pool.dispose(), 'dispose() after end()')
  })
})

describe('dispose({ close: false })', () => {
  test('dispose({ close: false }) says not a word to the server', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 3, keepaliveMillis: 100 })
    const oldPids = await warmUp(pool, 3)
    const { links } = proxy
    const sent = links.map((link) => link.bytesToServer)
    await settles(pool.dispose({ close: false }), 'dispose()')
    expect(pool.status()).toMatchObject({ size: 0, isClosed: false })
    const newPids = await warmUp(pool, 3)
    for (const pid of newPids) expect(oldPids).not.toContain(pid)
    // Maintenance has run, and has pinged the pool's connections.
    const [newLink] = proxy.links.filter((link) => !links.includes(link))
    const sentByNew = newLink?.bytesToServer ?? 0
    await until(() => (newLink?.bytesToServer ?? 0) > sentByNew)
    expect(links.map((link) => link.bytesToServer)).toEqual(sent)
    const sessions = await cluster.sessions({ applicationName: proxied.application_name })
    expect(sessions.map(({ pid }) => pid).toSorted()).toEqual([...oldPids, ...newPids].toSorted())
    for (const { state } of sessions) expect(state).toBe('idle')
    for (const link of links) link.cut('fin')
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('dispose({ close: false }) says nothing over leased ones either', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, max: 1 })
    const client = await pool.connect()
    const pid = await backendPid(client)
    const [link] = proxy.links
    await pool.dispose({ close: false })
    expect(await backendPid(client)).toBe(pid)
    const sent = link?.bytesToServer
    client.release()
    expect(await backendPid(pool)).not.toBe(pid)
    expect(link?.bytesToServer).toBe(sent)
    expect(await cluster.countSessions({ pid })).toBe(1)
    link?.cut('fin')
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test("after dispose({ close: false }) the old sessions don't concern the pool", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    const oldPids = await warmUp(pool, 2)
    await pool.dispose({ close: false })
    const [pid] = await warmUp(pool, 1)
    for (const old of oldPids) await cluster.terminateBackends({ pid: old })
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 1)
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test.for([true, false])('the process can end after dispose (close: %s)', async (close, { direct }) => {
    await using program = Program.start('let-go', { options: direct, close })
    expect(await program.tells(1)).toEqual([{ size: 0 }])
    expect(await program.ends()).toEqual({ code: 0, stderr: '' })
  })
})
