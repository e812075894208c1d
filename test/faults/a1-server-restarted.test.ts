import type { Pool } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, type FaultProxy, until } from '../support/index.ts'
import { Application } from './support/application.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { countEvents, holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { settles } from './support/settling.ts'
import { unnoticed } from './support/unnoticed.ts'

const SIZE = 4

interface Fault {
  readonly what: string
  readonly happen: (cluster: Cluster, applicationName: string) => Promise<unknown>
}

const FAULTS: readonly Fault[] = [
  { what: 'a fast restart', happen: (cluster) => cluster.restart('fast') },
  { what: 'an immediate restart', happen: (cluster) => cluster.restart('immediate') },
  {
    what: 'the termination of all idle sessions',
    async happen(cluster, applicationName) {
      await cluster.terminateBackends({ applicationName })
      await until(async () => (await cluster.countSessions({ applicationName })) === 0)
    },
  },
]

describe('stock pg.Pool', () => {
  test.for(FAULTS)('stock pg.Pool: $what ends the process', async ({ happen }, { cluster, direct }) => {
    await using application = await Application.start('stock', direct)
    await application.query('select 1')
    await happen(cluster, direct.application_name)
    expect(await application.ends()).toMatchObject({ code: 1, stderr: expect.stringContaining("'error' event") })
  })

  describe.each(WAYS)('through $way', ({ run }) => {
    test.for(FAULTS)(
      'stock pg.Pool: $what fails the next statement of every connection',
      async ({ happen }, { cluster, proxy, proxied }) => {
        await using pool = new StockPool({ ...proxied, max: SIZE })
        await warmUp(pool, SIZE)
        const letNewsArrive = await unnoticed(proxy, () => happen(cluster, proxied.application_name))
        const statements = Array.from({ length: SIZE }, () => run(pool, 'select 1'))
        letNewsArrive()
        const results = await Promise.allSettled(statements)
        expect(results.map(({ status }) => status)).toEqual(Array(SIZE).fill('rejected'))
      },
    )
  })
})

describe('Holdfast', () => {
  test.for(FAULTS)('Holdfast: the process survives $what', async ({ happen }, { cluster, direct }) => {
    await using application = await Application.start('holdfast', direct)
    await application.query('select 1')
    await happen(cluster, direct.application_name)
    expect(await application.query('select 1 as one')).toEqual([{ one: 1 }])
    await application.end()
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  describe.each(WAYS)('through $way', ({ run }) => {
    test.for(FAULTS)('Holdfast: no caller notices $what', async ({ happen }, { cluster, proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, max: SIZE })
      const oldPids = await warmUp(pool, SIZE)
      const letNewsArrive = await unnoticed(proxy, () => happen(cluster, proxied.application_name))
      const statements = Array.from({ length: SIZE }, () => run(pool, 'select pg_backend_pid() as pid'))
      letNewsArrive()
      const results = await settles(Promise.all(statements), 'the next statements')
      for (const { rows } of results) expect(oldPids).not.toContain(rows[0].pid)
      await expectHealthy(pool, cluster, proxied.application_name)
    })

    test('one disconnect makes the others suspects: they answer a ping, and stay', async ({ cluster, direct }) => {
      const told: string[] = []
      const log = (what: string): void => void told.push(what)
      // They are pinged for no other reason.
      await using pool = holdfast({ ...direct, max: SIZE, prePing: { idleMillis: 60_000 }, log })
      const [victim, ...others] = await warmUp(pool, SIZE)
      await cluster.terminateBackends({ pid: victim as number })
      await until(() => pool.status().size === SIZE - 1)
      expect(told).not.toContain('pool-invalidated')
      await Promise.all(Array.from({ length: SIZE }, () => run(pool, 'select pg_sleep(0.05)')))
      expect(told.filter((what) => what === 'connection-pinged')).toHaveLength(SIZE - 1)
      expect(pool.inspect().map(({ backendPid }) => backendPid)).toEqual(expect.arrayContaining(others))
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test('sessions that are ended one by one cost one connection each', async ({ cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: SIZE, prePing: { idleMillis: 60_000 } })
      await warmUp(pool, SIZE)
      const opened = countEvents(pool, 'connect')
      for (let victims = 1; victims <= SIZE; victims++) {
        const held = await pool.connect()
        const { rows } = await held.query('select pg_backend_pid() as pid')
        await cluster.terminateBackends({ pid: rows[0].pid })
        await until(() => pool.status().leased === 0)
        held.release()
        await settles(Promise.all(Array.from({ length: SIZE }, () => run(pool, 'select 1'))), 'the next statements')
        expect(opened()).toBeLessThanOrEqual(victims)
      }
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test("one disconnect retires every older connection under invalidateOnDisconnect: 'all'", async ({
      cluster,
      proxy,
      proxied,
    }) => {
      await using pool = holdfast({ ...proxied, max: SIZE, invalidateOnDisconnect: 'all' })
      const { oldPids, newPids, removed } = await terminateOne({ pool, run, cluster, proxy })
      expect(removed()).toBe(SIZE)
      for (const pid of newPids) expect(oldPids).not.toContain(pid)
      await expectHealthy(pool, cluster, proxied.application_name)
    })

    test("one disconnect retires only itself under invalidateOnDisconnect: 'one'", async ({
      cluster,
      proxy,
      proxied,
    }) => {
      await using pool = holdfast({ ...proxied, max: SIZE, invalidateOnDisconnect: 'one' })
      const { oldPids, newPids, removed } = await terminateOne({ pool, run, cluster, proxy })
      expect(removed()).toBe(1)
      expect(newPids.filter((pid) => oldPids.includes(pid))).toHaveLength(SIZE - 1)
      await expectHealthy(pool, cluster, proxied.application_name)
    })
  })
})

interface Termination {
  readonly pool: Pool
  readonly run: (pool: pg.Pool, text: string) => Promise<pg.QueryResult>
  readonly cluster: Cluster
  readonly proxy: FaultProxy
}

/** Terminates the session that the next caller would have got, and uses all connections thereafter. */
async function terminateOne({ pool, run, cluster, proxy }: Termination): Promise<{
  readonly oldPids: number[]
  readonly newPids: number[]
  readonly removed: () => number
}> {
  const oldPids = await warmUp(pool, SIZE)
  const removed = countEvents(pool, 'remove')
  const victim = oldPids.at(-1) as number
  const letNewsArrive = await unnoticed(proxy, () => cluster.terminateBackends({ pid: victim }))
  await until(async () => (await cluster.countSessions({ pid: victim })) === 0)
  const statement = run(pool, 'select 1')
  letNewsArrive()
  await settles(statement, 'the next statement')
  await until(() => removed() > 0)
  const newPids = await warmUp(pool, SIZE)
  return { oldPids, newPids, removed }
}
