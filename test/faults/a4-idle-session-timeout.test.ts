import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, type FaultProxy, until } from '../support/index.ts'
import { Application } from './support/application.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, countEvents, holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'
import { unnoticed } from './support/unnoticed.ts'

const SIZE = 3

/** Opens connections of which the one to be leased next has a session that the server ends when it idles. */
async function openWithOneShortLived(pool: pg.Pool): Promise<{ readonly healthy: number[]; readonly victim: number }> {
  const clients = await Promise.all(Array.from({ length: SIZE }, () => pool.connect()))
  const pids = await Promise.all(clients.map(backendPid))
  await clients.at(-1)?.query('set idle_session_timeout = 200')
  for (const client of clients) client.release()
  return { healthy: pids.slice(0, -1), victim: pids.at(-1) as number }
}

/** The session times out, unnoticed. */
function timedOut(cluster: Cluster, proxy: FaultProxy, victim: number): Promise<() => void> {
  return unnoticed(proxy, () => until(async () => (await cluster.countSessions({ pid: victim })) === 0))
}

describe('stock pg.Pool', () => {
  test('stock pg.Pool: without a listener, idle_session_timeout ends the process', async ({ direct }) => {
    await using application = await Application.start('stock', direct)
    await application.query('set idle_session_timeout = 50')
    expect(await application.ends()).toMatchObject({ code: 1, stderr: expect.stringContaining("code: '57P05'") })
  })

  test.for(WAYS)(
    'stock pg.Pool: idle_session_timeout fails the next statement, through $way',
    async ({ run }, { cluster, proxy, proxied }) => {
      await using pool = new StockPool({ ...proxied, max: SIZE })
      const { victim } = await openWithOneShortLived(pool)
      const letNewsArrive = await timedOut(cluster, proxy, victim)
      const failed = rejection(run(pool, 'select 1'))
      letNewsArrive()
      expect(await failed).toMatchObject({ code: '57P05' })
    },
  )
})

describe('Holdfast', () => {
  test('Holdfast: the process survives idle_session_timeout without a listener', async ({ cluster, direct }) => {
    await using application = await Application.start('holdfast', direct)
    await application.query('set idle_session_timeout = 50')
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
    expect(await application.query('select 1 as one')).toEqual([{ one: 1 }])
    await application.end()
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test('Holdfast: a session that times out in onConnect is opened again', async ({ cluster, direct }) => {
    let times = 0
    const onConnect = async (client: pg.ClientBase): Promise<void> => {
      if (times++ > 0) return
      const { rows } = await client.query('select pg_backend_pid() as pid')
      await client.query('set idle_session_timeout = 1')
      await until(async () => (await cluster.countSessions({ pid: rows[0].pid })) === 0)
      await client.query('select 1')
    }
    await using pool = holdfast({ ...direct, max: 1, onConnect })
    expect((await settles(pool.query('select 1 as one'), 'the statement')).rows).toEqual([{ one: 1 }])
    expect(times).toBe(2)
  })

  test.for(WAYS)(
    'Holdfast: idle_session_timeout retires only that one, unnoticed by the caller, through $way',
    async ({ run }, { cluster, proxy, proxied }) => {
      await using pool = holdfast({ ...proxied, max: SIZE })
      const removed = countEvents(pool, 'remove')
      const { healthy, victim } = await openWithOneShortLived(pool)
      const letNewsArrive = await timedOut(cluster, proxy, victim)
      const statement = run(pool, 'select 1')
      letNewsArrive()
      await settles(statement, 'the next statement')
      await until(() => removed() > 0)
      const pids = await warmUp(pool, SIZE)
      expect(removed()).toBe(1)
      expect(pids).toEqual(expect.arrayContaining(healthy))
      await expectHealthy(pool, cluster, proxied.application_name)
    },
  )

  test('Holdfast: idle_session_timeout retires one known to be dead, and no other', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: SIZE })
    const { healthy } = await openWithOneShortLived(pool)
    await until(() => pool.totalCount === SIZE - 1)
    expect(await warmUp(pool, SIZE)).toEqual(expect.arrayContaining(healthy))
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
