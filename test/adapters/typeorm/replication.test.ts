import { ConnectError, PoolTimeoutError, withPoolOptions } from '@holdfast/core'
import { transaction } from '@holdfast/typeorm'
import type { DataSource } from 'typeorm'
import { describe, expect } from 'vitest'
import { test as base } from '../../faults/support/fault-test.ts'
import { isPending, rejection, settles, unattended } from '../../faults/support/settling.ts'
import { FaultProxy, freePort, until } from '../../support/index.ts'
import { Entry } from '../subjects/typeorm-stock.ts'
import { addressOf, connected, poolOf, replicasOf, stock, withHoldfast } from './support/data-source.ts'

const WHO = 'select pg_is_in_recovery() as "isReplica", current_setting($$port$$)::int as port'

/** A test with a primary, a replica of it (one per file), and a proxy in front of each (one per test). */
const test = base
  .extend('standby', { scope: 'file' }, async ({ cluster }, { onCleanup }) => {
    const standby = await cluster.standby()
    onCleanup(() => standby[Symbol.asyncDispose]())
    return standby
  })
  .extend('toReplica', async ({ standby }, { onCleanup }) => {
    const proxy = await FaultProxy.start(standby)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })
  /** A second way to the replica: for TypeORM another node. */
  .extend('toOther', async ({ standby }, { onCleanup }) => {
    const proxy = await FaultProxy.start(standby)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })
  .extend('nodes', ({ cluster, standby, proxy, toReplica, toOther }) => ({
    primary: addressOf(proxy.config(cluster.config())),
    replica: addressOf(toReplica.config(standby.config())),
    other: addressOf(toOther.config(standby.config())),
  }))

/** Where so many reads are served, one after the other. */
async function readers(source: DataSource, count: number): Promise<('replica' | 'primary')[]> {
  const served: ('replica' | 'primary')[] = []
  for (let each = 0; each < count; each++) {
    const runner = source.createQueryRunner('slave')
    try {
      const [{ isReplica }] = await settles(runner.query(WHO), 'a read')
      served.push(isReplica ? 'replica' : 'primary')
    } finally {
      await runner.release()
    }
  }
  return served
}

const all = <Where extends string>(where: Where, count: number): Where[] => Array.from({ length: count }, () => where)

describe('replication', () => {
  test('replication reads from replicas and writes to the primary', async ({ nodes, cluster, standby }) => {
    const { primary: master, replica, other } = nodes
    const source = await connected({ replication: { master, slaves: [replica, other] }, applicationName: 'nodes' })
    expect(new Set([poolOf(source), ...replicasOf(source)]).size).toBe(3)
    expect(await readers(source, 10)).toEqual(all('replica', 10))
    await source.manager.insert(Entry, { id: 'written' })
    await until(async () => (await standby.query("select from entry where id = 'written'")).length === 1)
    expect(await source.getRepository(Entry).findOneBy({ id: 'written' })).toEqual({ id: 'written' })
    expect(await cluster.countSessions({ applicationName: 'nodes' })).toBe(1)
    expect(await transaction(source, async (manager) => manager.query(WHO))).toMatchObject([{ isReplica: false }])
    await source.destroy()
    await until(async () => (await standby.countSessions({ applicationName: 'nodes' })) === 0)
  })

  test('holdfast() is needed for replication, since stock TypeORM neither starts nor reads when a replica is down', async ({
    nodes,
    toReplica,
  }) => {
    const { primary: master, replica, other } = nodes
    const source = stock({ replication: { master, slaves: [replica, other] } })
    toReplica.refuse()
    expect(await rejection(source.initialize())).toMatchObject({ code: 'ECONNREFUSED' })
    await toReplica.heal()
    const started = stock({ replication: { master, slaves: [replica] }, extra: { idleTimeoutMillis: 1 } })
    await started.initialize()
    toReplica.cut('rst')
    toReplica.refuse()
    await until(() => replicasOf(started)[0]?.totalCount === 0)
    expect(await rejection(readers(started, 1))).toMatchObject({ code: 'ECONNREFUSED' })
    await started.destroy()
  })

  test('replication starts while all replicas are down, and reads from the primary until one is up again', async ({
    nodes,
    toReplica,
    toOther,
  }) => {
    const { primary: master, replica, other } = nodes
    toReplica.refuse()
    toOther.refuse()
    const source = await connected({ replication: { master, slaves: [replica, other] } })
    expect(await readers(source, 10)).toEqual(all('primary', 10))
    await toReplica.heal()
    await until(async () => (await readers(source, 1))[0] === 'replica', { what: 'the replica to be used again' })
    expect(await readers(source, 10)).toEqual(all('replica', 10))
    await source.destroy()
  })

  test('replication goes from replica to replica, then to the primary', async ({ nodes, toReplica, toOther }) => {
    const { primary: master, replica, other } = nodes
    const source = await connected({ replication: { master, slaves: [replica, other] } })
    expect(await readers(source, 10)).toEqual(all('replica', 10))
    toReplica.cut('rst')
    toReplica.refuse()
    expect(await readers(source, 20)).toEqual(all('replica', 20))
    expect(toReplica.connections).toBe(0)
    toOther.cut('rst')
    toOther.refuse()
    expect(await readers(source, 20)).toEqual(all('primary', 20))
    await toOther.heal()
    await until(async () => (await readers(source, 1))[0] === 'replica', { what: 'the other one to be used again' })
    await until(async () => !(await readers(source, 10)).includes('primary'), { what: 'the primary to be left alone' })
    expect(toReplica.connections).toBe(0)
    await source.destroy()
  })

  test('replication makes one reader wait for a replica that falls silent, and no other reader after it', async ({
    nodes,
    toReplica,
  }) => {
    const { primary: master, replica } = nodes
    let timeouts = 0
    const log = (event: unknown): void => {
      if (event === 'acquire-failed') timeouts++
    }
    const source = await connected({ replication: { master, slaves: [replica] }, holdfast: { log } })
    expect(await readers(source, 1)).toEqual(['replica'])
    toReplica.swallow()
    expect(await readers(source, 1)).toEqual(['primary'])
    expect(timeouts).toBe(1)
    expect(await readers(source, 50)).toEqual(all('primary', 50))
    expect(timeouts).toBeLessThan(5) // Of the waiters that check whether the replica is up again, and serve no reader.
    await source.destroy()
  })

  test('replication serves many readers at the same time while a replica is down', async ({ nodes, toReplica }) => {
    const { primary: master, replica } = nodes
    const source = await connected({ replication: { master, slaves: [replica] }, poolSize: 4 })
    toReplica.cut('rst')
    toReplica.refuse()
    const reads = Array.from({ length: 30 }, () => readers(source, 1))
    expect((await settles(Promise.all(reads), 'all')).flat()).toEqual(all('primary', 30))
    await source.destroy()
  })

  test('replication waits for a replica whose connections are all in use', async ({ nodes }) => {
    const { primary: master, replica } = nodes
    const source = await connected({ replication: { master, slaves: [replica] }, poolSize: 1 })
    const holder = source.createQueryRunner('slave')
    await holder.query('select 1')
    const next = unattended(readers(source, 1))
    await holder.query('select pg_sleep(1.5)') // Longer than a reader waits for a server.
    expect(await isPending(next)).toBe(true)
    await holder.release()
    expect(await next).toEqual(['replica'])
    await source.destroy()
  })

  test('replication removes a reader from the queue of a replica when its signal is aborted', async ({ nodes }) => {
    const { primary: master, replica } = nodes
    const source = await connected({ replication: { master, slaves: [replica] }, poolSize: 1 })
    const holder = source.createQueryRunner('slave')
    await holder.query('select 1')
    const giveUp = new AbortController()
    const read = rejection(withPoolOptions({ signal: giveUp.signal }, () => readers(source, 1)))
    const [pool] = replicasOf(source)
    await until(() => pool?.waitingCount === 1)
    const reason = new Error('given up')
    giveUp.abort(reason)
    expect(await read).toBe(reason)
    expect(pool?.waitingCount).toBe(0)
    await holder.release()
    await source.destroy()
  })

  test("replication never writes through a replica's pool, even when the replica is the same server as the primary", async ({
    nodes,
    proxy,
  }) => {
    const { primary: master, replica } = nodes
    // As on a development machine, where the replica is the primary.
    for (const slaves of [[replica], [master, replica]]) {
      const source = await connected({
        replication: { master, slaves },
        connectTimeoutMS: 1000,
        holdfast: { prePing: true },
      })
      proxy.cut('rst')
      proxy.refuse()
      await until(() => poolOf(source).totalCount === 0)
      expect(await rejection(source.manager.insert(Entry, { id: 'astray' }))).toBeInstanceOf(PoolTimeoutError)
      await proxy.heal()
      await source.destroy()
    }
  })

  test('replication fails to start when a replica refuses the password', async ({ nodes, cluster }) => {
    const { primary: master, replica } = nodes
    const slaves = [{ ...replica, password: 'wrong' }]
    const source = withHoldfast({ replication: { master, slaves } })
    const refused = await rejection(source.initialize())
    expect(refused).toBeInstanceOf(ConnectError)
    expect(refused).toMatchObject({ code: '28P01' })
    source.setOptions({ replication: { master, slaves: [replica] } } as never)
    await source.initialize()
    expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
    await source.destroy()
    await until(async () => (await cluster.countSessions()) === 0)
  })

  test('replication takes an address twice, and new pools in each initialize()', async ({ nodes, toReplica }) => {
    const { primary: master, replica } = nodes
    const source = withHoldfast({ replication: { master, slaves: [replica, replica] } })
    for (const _again of [1, 2]) {
      await source.initialize()
      expect(replicasOf(source)).toHaveLength(2)
      expect(await readers(source, 6)).toEqual(all('replica', 6))
      toReplica.cut('rst')
      toReplica.refuse()
      expect(await readers(source, 6)).toEqual(all('primary', 6))
      await toReplica.heal()
      await source.destroy()
    }
  })

  test('replication tells servers apart by their URLs', async ({ cluster, standby }) => {
    const dead = new URL(standby.url)
    dead.port = String(await freePort())
    const source = await connected({ replication: { master: { url: cluster.url }, slaves: [{ url: dead.href }] } })
    expect(await readers(source, 3)).toEqual(all('primary', 3))
    await source.destroy()
  })

  test("replication reads from the primary when defaultMode is 'master'", async ({ nodes }) => {
    const { primary: master, replica } = nodes
    const source = await connected({ replication: { master, slaves: [replica], defaultMode: 'master' } })
    expect(
      await source.createQueryBuilder().select('pg_is_in_recovery()', 'it').from('(select 1)', 'one').getRawOne(),
    ).toEqual({ it: false })
    await source.destroy()
  })
})
