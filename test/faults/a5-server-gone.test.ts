import { ConnectError, type Pool, PoolTimeoutError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import type { FaultProxy } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS, warmUp } from './support/pools.ts'
import { isPending, rejection, unattended } from './support/settling.ts'

const SIZE = 6
const MOST_PINGS = 3

/** What a checkout without a statement sends. */
async function bytesToPing(pool: Pool, { links }: FaultProxy): Promise<number> {
  const sent = (): number => links.reduce((sum, link) => sum + link.bytesToServer, 0)
  const before = sent()
  const client = await pool.connect()
  client.release()
  return sent() - before
}

describe.each(WAYS)('the connections do not answer, new ones are refused, through $way', ({ run }) => {
  test('stock pg.Pool never rejects when the server is gone', async ({ proxy, proxied }) => {
    await using stock = new StockPool({ ...proxied, max: SIZE, connectionTimeoutMillis: 1000 })
    await using pool = holdfast({ ...proxied, max: SIZE, connectionTimeoutMillis: 2000 })
    await warmUp(stock, SIZE)
    await warmUp(pool, SIZE)
    proxy.swallow({ connections: 'existing' })
    proxy.refuse()
    const statement = unattended(run(stock, 'select 1'))
    await rejection(run(pool, 'select 1'))
    expect(await isPending(statement)).toBe(true)
  })

  test.for(['all', 'suspect', 'one'] as const)(
    "Holdfast pings at most three connections, then rejects with the real error (invalidateOnDisconnect: '%s')",
    async (invalidateOnDisconnect, { cluster, proxy, proxied }) => {
      // The watch would ask over one of those that are pinged, too.
      const options = { max: SIZE, connectionTimeoutMillis: 4000, invalidateOnDisconnect, watch: false } as const
      await using pool = holdfast({ ...proxied, ...options })
      await warmUp(pool, SIZE)
      const { links } = proxy
      const bytesOfPing = await bytesToPing(pool, proxy)
      const sentBefore = links.map((link) => link.bytesToServer)
      proxy.swallow({ connections: 'existing' })
      proxy.refuse()

      const error = await rejection(run(pool, 'select 1'))

      // Connections that were not pinged got Terminate, which is longer.
      const sent = links.map((link, index) => link.bytesToServer - (sentBefore[index] as number))
      const asked = sent.filter((bytes) => bytes === bytesOfPing)
      expect(asked).toHaveLength(invalidateOnDisconnect === 'one' ? MOST_PINGS : 1)
      expect(sent).not.toContain(0)
      expect(error).toBeInstanceOf(PoolTimeoutError)
      expect(error.cause).toBeInstanceOf(ConnectError)
      expect(error.cause).toMatchObject({
        code: 'ECONNREFUSED',
        message: expect.stringContaining(`127.0.0.1:${proxy.port}`),
      })
      await proxy.heal()
      await expectHealthy(pool, cluster, proxied.application_name)
    },
  )

  test('Holdfast rejects with the real error at once when connecting is not retried', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, max: SIZE, connectRetry: false })
    await warmUp(pool, SIZE)
    await cluster.stop()
    const error = await rejection(run(pool, 'select 1'))
    expect(error).toBeInstanceOf(ConnectError)
    await cluster.start()
    expect(proxy.isListening).toBe(true)
    await expectHealthy(pool, cluster, proxied.application_name)
  })
})
