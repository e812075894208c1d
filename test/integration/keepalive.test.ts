import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { backendPid, holdfast, warmUp } from '../faults/support/pools.ts'
import { type FaultProxy, type Link, until } from '../support/index.ts'

/** A firewall that forgets flows which nothing has passed for so long. Returns what switches it off. */
function forgetful(proxy: FaultProxy, millis: number): Disposable & { readonly forgotten: Set<Link> } {
  const seen = new Map<Link, { bytes: number; at: number }>()
  const forgotten = new Set<Link>()
  const looking = setInterval(() => {
    const now = performance.now()
    for (const link of proxy.links) {
      const bytes = link.bytesToServer + link.bytesToClient
      const last = seen.get(link)
      if (last?.bytes !== bytes) seen.set(link, { bytes, at: now })
      else if (now - last.at > millis && !link.isDead) {
        forgotten.add(link)
        link.swallow()
      }
    }
  }, 20)
  return { forgotten, [Symbol.dispose]: () => clearInterval(looking) }
}

const NO_PING = { prePing: { idleMillis: 600_000 }, idleTimeoutMillis: 0 }

describe('keepaliveMillis', () => {
  test('keepalive keeps idle connections in the memory of a firewall that forgets silent ones', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using silent = holdfast({ ...proxied, ...NO_PING, max: 2 })
    await using pool = holdfast({ ...proxied, ...NO_PING, max: 2, keepaliveMillis: 200 })
    await warmUp(silent, 2)
    const [one, other] = proxy.links
    const pids = await warmUp(pool, 2)
    using firewall = forgetful(proxy, 3000)
    await until(() => firewall.forgotten.size === 2, { what: 'the firewall to forget those that are silent' })
    expect([...firewall.forgotten].map(({ id }) => id).toSorted()).toEqual([one?.id, other?.id])
    expect((await warmUp(pool, 2)).toSorted()).toEqual(pids.toSorted())
    // Longer than any connection could have been silent.
    const looks = proxy.links.at(-1)?.bytesToServer ?? 0
    await until(() => (proxy.links.at(-1)?.bytesToServer ?? 0) > looks + 100)
    expect(firewall.forgotten.size).toBe(2)
    await silent.dispose({ close: false })
    await cluster.terminateBackends({ applicationName: proxied.application_name })
  })

  test('keepalive sends nothing where it is off', async ({ proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, ...NO_PING, max: 1, min: 1 })
    await warmUp(pool, 1)
    const [link] = proxy.links
    const sent = link?.bytesToServer ?? 0
    // The capacity of the server is asked for once; nothing afterwards.
    await until(() => (link?.bytesToServer ?? 0) > sent)
    const sentByThen = link?.bytesToServer
    await using other = holdfast({ ...proxied, ...NO_PING, max: 1, keepaliveMillis: 100 })
    await warmUp(other, 1)
    const [, kept] = proxy.links
    for (let ping = 1; ping <= 5; ping++) {
      const before = kept?.bytesToServer ?? 0
      await until(() => (kept?.bytesToServer ?? 0) > before)
    }
    expect(link?.bytesToServer).toBe(sentByThen)
  })

  test('keepalive finds a dead connection before a caller needs it, and retires the others with it', async ({
    cluster,
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, ...NO_PING, max: 3, keepaliveMillis: 100 })
    const pids = await warmUp(pool, 3)
    proxy.swallow({ connections: 'existing' })
    await until(() => pool.totalCount === 0, { what: 'the pool to find out' })
    expect(pids).not.toContain(await backendPid(pool))
    await proxy.heal()
    await until(async () => (await cluster.countSessions({ applicationName: proxied.application_name })) === 1)
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('keepalive does not count as use: what is idle for too long is closed', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 2, idleTimeoutMillis: 2500, keepaliveMillis: 100 })
    await warmUp(pool, 2)
    await until(() => pool.totalCount === 0)
  })

  test('a caller that comes while keepalive pings all connections is served by one of them', async ({
    proxy,
    proxied,
  }) => {
    await using pool = holdfast({ ...proxied, ...NO_PING, max: 1, keepaliveMillis: 100 })
    const [pid] = await warmUp(pool, 1)
    for (const link of proxy.links) link.delay(100)
    await until(() => pool.status().checking === 1)
    expect(await backendPid(pool)).toBe(pid)
    expect(proxy.accepted).toBe(1)
  })
})
