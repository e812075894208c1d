import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type FaultProxy, type Link, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, countEvents, holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { isPending, rejection, settles, unattended } from './support/settling.ts'

const SIZE = 3
const QUERY_TIMEOUT_MILLIS = 500

/** The link of the connection that `client` has. */
function linkOf(client: pg.PoolClient, proxy: FaultProxy): Link {
  const { localPort } = client.connection.stream as unknown as { readonly localPort: number }
  return proxy.links.find(({ clientPort }) => clientPort === localPort) as Link
}

describe('black hole while a statement is in flight', () => {
  test("stock pg.Pool: a statement in a black hole outlasts Holdfast's patience", async ({ proxy, proxied }) => {
    await using stock = new StockPool({ ...proxied, max: 1 })
    await using pool = holdfast({ ...proxied, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const statements = [stock, pool].map((each) => unattended(each.query("select pg_sleep('infinity')")))
    proxy.swallow({ connections: 'existing' })
    await rejection(statements[1] as Promise<unknown>)
    expect(await isPending(statements[0] as Promise<unknown>)).toBe(true)
  })

  test('stock pg.Pool: with query_timeout, a dead connection is leased again and again', async ({ proxy, proxied }) => {
    await using pool = new StockPool({ ...proxied, max: 1, query_timeout: 300 })
    await warmUp(pool, 1)
    proxy.swallow({ connections: 'existing' })
    const [, viaConnect] = WAYS
    for (let caller = 1; caller <= 3; caller++)
      await expect(viaConnect?.run(pool, 'select 1')).rejects.toThrow('Query read timeout')
  })

  test.for(WAYS)(
    'Holdfast: a statement in a black hole is bounded by query_timeout, through $way',
    async ({ run }, { cluster, proxy, proxied }) => {
      await using pool = holdfast({
        ...proxied,
        max: SIZE,
        query_timeout: QUERY_TIMEOUT_MILLIS,
        prePing: { idleMillis: 60_000 },
      })
      await warmUp(pool, SIZE)
      const [...links] = proxy.links
      const statements = links.map(() => rejection(run(pool, "select pg_sleep('infinity')")))
      proxy.swallow({ connections: 'existing' })
      for (const error of await Promise.all(statements))
        expect(error).toMatchObject({ code: '08006', phase: 'query', sent: true, commitOutcome: 'unknown' })
      await settles(Promise.all(links.map((link) => link.clientLeft)), 'the end of the sockets')
      await cluster.terminateBackends({ applicationName: proxied.application_name, state: 'active' })
      await proxy.heal()
      await expectHealthy(pool, cluster, proxied.application_name)
    },
  )

  test('Holdfast: after query_timeout others are pinged, and kept', async ({ cluster, proxy, proxied }) => {
    const prePing = { idleMillis: 60_000, timeoutMillis: 5000 }
    await using pool = holdfast({ ...proxied, max: SIZE, query_timeout: QUERY_TIMEOUT_MILLIS, prePing })
    const removed = countEvents(pool, 'remove')
    const pids = await warmUp(pool, SIZE)
    const victim = await pool.connect()
    const victimPid = await backendPid(victim)
    const links = proxy.links.filter((link) => link !== linkOf(victim, proxy))
    linkOf(victim, proxy).swallow()
    expect(await rejection(victim.query('select 1'))).toMatchObject({ code: '08006' })
    victim.release()

    const sentBefore = links.map((link) => link.bytesToServer)
    const clients = await Promise.all([pool.connect(), pool.connect()])
    const asked = links.map((link, index) => link.bytesToServer > (sentBefore[index] as number))
    const kept = await Promise.all(clients.map(backendPid))
    for (const client of clients) client.release()

    expect(asked).toEqual([true, true])
    expect(kept.sort()).toEqual(pids.filter((pid) => pid !== victimPid).sort())
    // Emitted when its socket is closed, after the cancel request to the server.
    await until(() => removed() > 0, { what: 'the removal to be told' })
    expect(removed()).toBe(1)
    await proxy.heal()
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})
