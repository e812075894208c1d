import { type ListenGap, OptionsError, type Pool, PoolClosedError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { Program } from './support/program.ts'
import { rejection, settles } from './support/settling.ts'

/** What one handler was told. */
class Heard {
  readonly payloads: string[] = []
  readonly gaps: ListenGap[] = []
  readonly handler = (payload: string): void => void this.payloads.push(payload)
  readonly onReconnect = (gap: ListenGap): void => void this.gaps.push(gap)
}

/** Notifies until it is heard: a notification that is sent while nobody listens is lost, by design of PostgreSQL. */
async function heardAgain(pool: Pool, heard: Heard, channel: string): Promise<void> {
  const before = heard.payloads.length
  await until(async () => {
    await pool.query('select pg_notify($1, $2)', [channel, 'again'])
    return heard.payloads.length > before
  })
}

async function listeningSessions(cluster: { query: (sql: string) => Promise<object[]> }): Promise<number> {
  return (await cluster.query(`select from pg_stat_activity where query ilike 'listen%' and usename = 'app'`)).length
}

test('stock pg: a LISTEN hears nothing after its session has ended, and nobody says so', async ({
  cluster,
  direct,
}) => {
  await using pool = new StockPool({ ...direct, max: 2 })
  const client = await pool.connect()
  client.on('error', () => {})
  const heard: unknown[] = []
  client.on('notification', ({ payload }) => heard.push(payload))
  await client.query('listen orders')
  await cluster.query(`select pg_terminate_backend(pid) from pg_stat_activity where query = 'listen orders'`)
  await cluster.query(`select pg_notify('orders', 'lost')`)
  await pool.query('select 1')
  await cluster.query(`select pg_notify('orders', 'lost as well')`)
  expect(heard).toEqual([])
  client.release(true)
})

describe('pool.listen', () => {
  test('calls each handler of a channel once for each notification, in their order', async ({ direct }) => {
    await using pool = holdfast(direct)
    const [one, other, elsewhere] = [new Heard(), new Heard(), new Heard()]
    await pool.listen('orders', one.handler)
    await pool.listen('orders', other.handler)
    await pool.listen('Odd "name"', elsewhere.handler)
    for (let number = 0; number < 20; number++) await pool.query(`select pg_notify('orders', $1)`, [`${number}`])
    await pool.query('select pg_notify($1, $2)', ['Odd "name"', 'odd'])
    await until(() => elsewhere.payloads.length === 1)
    const all = Array.from({ length: 20 }, (_, number) => `${number}`)
    expect([one.payloads, other.payloads, elsewhere.payloads]).toEqual([all, all, ['odd']])
    expect([one.gaps, other.gaps]).toEqual([[], []])
  })

  test('takes one session beside `max`, and none when nobody listens any more', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const holder = await pool.connect()
    const subscriptions = [await pool.listen('a', () => {}), await pool.listen('b', () => {})]
    expect(await listeningSessions(cluster)).toBe(1)
    expect(pool.status()).toMatchObject({ size: 1, leased: 1 })
    await subscriptions[0]?.unlisten()
    await subscriptions[0]?.unlisten()
    expect(await listeningSessions(cluster)).toBe(0) // The last statement was UNLISTEN.
    await subscriptions[1]?.[Symbol.asyncDispose]()
    await until(async () => (await cluster.countSessions()) === 1)
    holder.release()
  })

  test('hears nothing after unlisten()', async ({ direct }) => {
    await using pool = holdfast(direct)
    const [gone, stays] = [new Heard(), new Heard()]
    const subscription = await pool.listen('orders', gone.handler)
    await pool.listen('orders', stays.handler)
    await subscription.unlisten()
    await heardAgain(pool, stays, 'orders')
    expect(gone.payloads).toEqual([])
  })

  test('listens anew when its session was ended, and tells of the gap', async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    const [orders, users] = [new Heard(), new Heard()]
    await pool.listen('orders', orders.handler, { onReconnect: orders.onReconnect })
    await pool.listen('users', users.handler, { onReconnect: users.onReconnect })
    for (let time = 1; time <= 3; time++) {
      const before = Date.now()
      await cluster.query(`select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'`)
      await until(() => orders.gaps.length === time && users.gaps.length === time)
      expect(orders.gaps.at(-1)).toMatchObject({ cause: { code: '57P01' } })
      expect(orders.gaps.at(-1)?.to.getTime()).toBeGreaterThanOrEqual(before)
      const { payloads } = orders
      payloads.length = 0
      await pool.query(`select pg_notify('orders', 'once')`)
      await until(() => payloads.length > 0)
      await heardAgain(pool, users, 'users')
      expect(payloads).toEqual(['once'])
    }
  })

  test('listens anew when the server was away', async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    const heard = new Heard()
    await pool.listen('orders', heard.handler, { onReconnect: heard.onReconnect })
    await cluster.stop('immediate')
    const late = pool.listen('late', heard.handler)
    await cluster.start()
    await settles(late, 'listen() while the server was away')
    await until(() => heard.gaps.length === 1)
    await heardAgain(pool, heard, 'orders')
    await heardAgain(pool, heard, 'late')
    const [gap] = heard.gaps
    expect(gap?.to.getTime()).toBeGreaterThan(gap?.from.getTime() as number)
  })

  test('finds out that the network is silent', async ({ cluster, proxy, proxied, direct }) => {
    await using pool = holdfast(proxied)
    await using sender = holdfast(direct)
    const heard = new Heard()
    await pool.listen('orders', heard.handler, { onReconnect: heard.onReconnect })
    for (const link of proxy.links) link.swallow('both')
    await until(() => heard.gaps.length === 1, { timeoutMillis: 30_000 })
    await heardAgain(sender, heard, 'orders')
    await until(async () => (await listeningSessions(cluster)) > 0)
  })

  test('counts what was sent since the last question that was answered as missed', async ({
    proxy,
    proxied,
    direct,
  }) => {
    await using pool = holdfast({ ...proxied, watch: false })
    await using sender = holdfast(direct)
    const heard = new Heard()
    const before = Date.now()
    await pool.listen('orders', heard.handler, { onReconnect: heard.onReconnect })
    proxy.swallow({ connections: 'existing', direction: 'to-client' })
    const sentAt = Date.now()
    await sender.query(`select pg_notify('orders', 'swallowed')`)
    pool.invalidate(new Error('failover'))
    await until(() => heard.gaps.length === 1)
    await heardAgain(sender, heard, 'orders')
    expect(heard.payloads).not.toContain('swallowed')
    expect(heard.gaps).toMatchObject([{ cause: { message: 'failover' } }])
    expect(heard.gaps[0]?.from.getTime()).toBeGreaterThanOrEqual(before)
    expect(heard.gaps[0]?.from.getTime()).toBeLessThanOrEqual(sentAt)
    expect(heard.gaps[0]?.to.getTime()).toBeGreaterThanOrEqual(sentAt)
  })

  test('a notification that has arrived says nothing of those that were sent before and are on their way', async ({
    direct,
  }) => {
    await using pool = holdfast({ ...direct, watch: false })
    const heard = new Heard()
    await pool.listen('orders', heard.handler, { onReconnect: heard.onReconnect })
    const before = Date.now()
    await until(() => Date.now() > before)
    await heardAgain(pool, heard, 'orders')
    pool.invalidate(new Error('failover'))
    await until(() => heard.gaps.length === 1)
    expect(heard.gaps[0]?.from.getTime()).toBeLessThanOrEqual(before)
  })

  test('shows its connection, which takes no slot, in inspect() and status()', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, watch: false })
    await pool.query('select 1')
    expect(pool.status().listening).toBe(0)
    const subscription = await pool.listen('orders', () => {})
    await pool.listen('users', () => {})
    const [slot, listening] = pool.inspect()
    expect(slot).toMatchObject({ state: 'idle', channels: undefined })
    expect(listening).toMatchObject({ state: 'listening', channels: ['orders', 'users'], heldMillis: undefined })
    const [session] = await cluster.query<{ pid: number }>(
      `select pid from pg_stat_activity where query ilike 'listen%' and usename = 'app'`,
    )
    expect(listening?.backendPid).toBe(session?.pid)
    expect(pool.status()).toMatchObject({ size: 1, listening: 1 })
    await subscription.unlisten()
    expect(pool.inspect().at(-1)).toMatchObject({ channels: ['users'] })
    await pool.end()
    expect(pool.inspect()).toEqual([])
  })

  test('keeps a process alive that does nothing else, also while the server is away, and no longer', async ({
    cluster,
    direct,
  }) => {
    await using sender = holdfast({ ...direct, application_name: 'sends' })
    await using program = Program.start('listens', direct)
    await program.tells(1)
    await cluster.restart('immediate')
    await program.tells(2)
    await sender.query(`select pg_notify('orders', 'stop')`)
    await program.tells(3)
    expect(program.told).toEqual(['listens', 'again', 'stop'])
    expect(await program.ends()).toMatchObject({ code: 0, stderr: '' })
  })

  test('rejects at its deadline if no server can be reached, and leaves nothing behind', async ({ proxy, proxied }) => {
    proxy.refuse()
    await using pool = holdfast({ ...proxied, connectionTimeoutMillis: 500 })
    const error = await rejection(pool.listen('orders', () => {}))
    expect(error).toMatchObject({ code: 'HOLDFAST_LISTEN_TIMEOUT', timeoutMillis: 500 })
    const signal = AbortSignal.timeout(50)
    expect(await rejection(pool.listen('orders', () => {}, { signal }))).toBe(signal.reason)
  })

  test('rejects at once for what no other try mends', async ({ direct }) => {
    await using pool = holdfast({ ...direct, password: 'wrong' })
    expect(await rejection(pool.listen('orders', () => {}))).toMatchObject({ code: '28P01' })
  })

  test('ends with the signal, and with the pool', async ({ cluster, direct }) => {
    const pool = holdfast(direct)
    const [ended, given] = [new Heard(), new AbortController()]
    await pool.listen('orders', ended.handler, { signal: given.signal })
    given.abort()
    await until(async () => (await cluster.countSessions()) === 0)
    await pool.listen('orders', ended.handler, { onReconnect: ended.onReconnect })
    await pool.end()
    expect(await cluster.countSessions()).toBe(0)
    expect(await rejection(pool.listen('orders', ended.handler))).toBeInstanceOf(PoolClosedError)
    expect([ended.payloads, ended.gaps]).toEqual([[], []])
  })

  test('a handler that throws costs a warning, and no other handler', async ({ direct }) => {
    await using pool = holdfast(direct)
    const heard = new Heard()
    const warnings: Error[] = []
    const warn = (warning: Error): void => void warnings.push(warning)
    process.on('warning', warn)
    try {
      await pool.listen('orders', () => {
        throw new Error('of the handler')
      })
      await pool.listen('orders', async () => {
        throw new Error('of the promise')
      })
      await pool.listen('orders', heard.handler)
      await pool.query(`select pg_notify('orders', 'one')`)
      await until(() => warnings.length === 2)
    } finally {
      process.off('warning', warn)
    }
    expect(heard.payloads).toEqual(['one'])
    expect(warnings).toMatchObject([{ code: 'HOLDFAST_LISTENER_THREW' }, { code: 'HOLDFAST_LISTENER_THREW' }])
  })

  test.for([
    ['', () => {}, undefined],
    ['x'.repeat(64), () => {}, undefined],
    [7, () => {}, undefined],
    ['orders', 'no function', undefined],
    ['orders', () => {}, { onReconnect: 7 }],
    ['orders', () => {}, { signal: 7 }],
    ['orders', () => {}, { onreconnect: () => {} }],
  ] as const)('refuses %o, %o, %o', async ([channel, handler, options], { direct }) => {
    await using pool = holdfast(direct)
    expect(await rejection(pool.listen(channel as string, handler as () => void, options as object))).toBeInstanceOf(
      OptionsError,
    )
  })
})
