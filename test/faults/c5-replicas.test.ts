import { NoReplicaError, type Pool, PoolClosedError, PoolTimeoutError, withPoolOptions } from '@holdfast/core'
import pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, FaultProxy, until } from '../support/index.ts'
import { test } from './support/failover-test.ts'
import { listOf } from './support/host-list.ts'
import { holdfast } from './support/pools.ts'
import { readingFrom } from './support/replicas.ts'
import { rejection, settles, unattended } from './support/settling.ts'

const WHERE = 'select pg_is_in_recovery() as is_standby'

async function isOnStandby(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query<{ is_standby: boolean }>(WHERE)
  return rows[0]?.is_standby === true
}

/** Reads in each way until it is stopped, and keeps the errors. */
function readers(pool: Pool): { readonly errors: unknown[]; count: number; stop(): Promise<void> } {
  let isOver = false
  const load = { errors: [] as unknown[], count: 0, stop }
  const loop = async (read: () => Promise<unknown>): Promise<void> => {
    while (!isOver && load.errors.length < 10)
      await read().then(
        () => load.count++,
        (error: unknown) => load.errors.push(error),
      )
  }
  const leased = async (): Promise<void> => {
    using client = await pool.connect()
    await client.query('select count(*) from paid')
  }
  const calls = Promise.all([
    ...Array.from({ length: 4 }, () => loop(() => pool.query('select count(*) from paid'))),
    loop(leased),
    loop(() => pool.transaction((tx) => tx.query('select count(*) from paid'))),
  ])
  async function stop(): Promise<void> {
    isOver = true
    await settles(calls, 'the readers')
  }
  return load
}

async function reads(load: { readonly count: number }, more: number): Promise<void> {
  const before = load.count
  await until(() => load.count >= before + more, { timeoutMillis: 20_000, what: `${more} more reads` })
}

/** The position of the primary after a write. */
async function write(pool: Pool, id: string): Promise<string> {
  await pool.query('insert into paid values ($1)', [id])
  const { rows } = await pool.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn')
  return rows[0]?.lsn as string
}

/** Holds back what a replica replays. */
async function pauseReplay(standby: Cluster): Promise<void> {
  await standby.query('select pg_wal_replay_pause()')
  await until(async () => {
    const [row] = await standby.query<{ state: string }>('select pg_get_wal_replay_pause_state() as state')
    return row?.state === 'paused'
  })
}

test('stock pg.Pool on a replica fails while that is down', async ({ standby }) => {
  const stock = new pg.Pool(standby.config())
  stock.on('error', () => {})
  await stock.query('select 1')
  await standby.stop('immediate')
  await expect(stock.query('select 1')).rejects.toThrow()
  await stock.end()
})

test('pool.reader leads to the replica, under its own max and name, and the pool to the primary', async ({
  primary,
  standby,
}) => {
  await using pool = holdfast(readingFrom(primary, [primary, standby], { max: 2 }, { name: 'shop' }))
  const { reader } = pool
  expect(await isOnStandby(pool)).toBe(false)
  expect(await isOnStandby(reader)).toBe(true)
  await Promise.all(Array.from({ length: 5 }, () => reader.query('select pg_sleep(0.05)')))
  expect(reader.status()).toMatchObject({ name: 'shop-reader', max: 2, size: 2 })
  expect(reader.inspect()).toMatchObject([{ role: 'standby' }, { role: 'standby' }])
  expect(reader).toBeInstanceOf(pg.Pool)
  expect(reader.reader).toBe(reader)
})

test('without replicas, pool.reader is the pool itself, and target changes nothing', async ({ primary }) => {
  await using pool = holdfast(primary.config())
  expect(pool.reader).toBe(pool)
  const read = (): Promise<boolean> => isOnStandby(pool)
  expect(await withPoolOptions({ target: 'reader', after: '0/1' }, read)).toBe(false)
})

test('within a scope of target reader, queries, clients and transactions of the pool come from the replicas', async ({
  primary,
  standby,
}) => {
  await using pool = holdfast(readingFrom(primary, [standby]))
  const found = await withPoolOptions({ target: 'reader' }, async () => {
    using client = await pool.connect()
    const called = new Promise<boolean>((resolve, reject) =>
      pool.query(WHERE, (error, result) => (error ? reject(error) : resolve(result.rows[0].is_standby))),
    )
    return [
      await isOnStandby(pool),
      (await client.query(WHERE)).rows[0].is_standby,
      (await pool.transaction((tx) => tx.query(WHERE))).rows[0].is_standby,
      (await pool.query(WHERE, undefined, { idempotent: true })).rows[0].is_standby,
      await called,
      await withPoolOptions({ target: 'primary' }, () => isOnStandby(pool)),
    ]
  })
  expect(found).toEqual([true, true, true, true, true, false])
  using client = await pool.connect({ target: 'reader' })
  expect((await client.query(WHERE)).rows).toEqual([{ is_standby: true }])
})

describe("fallback: 'primary'", () => {
  test('a replica that crashes under load costs no read an error, and serves again when it is back', async ({
    primary,
    standby,
  }) => {
    await using pool = holdfast(readingFrom(primary, [standby], { max: 4 }))
    const load = readers(pool.reader)
    await reads(load, 50)
    await standby.stop('immediate')
    await reads(load, 50)
    expect(pool.reader.inspect()[0]).toMatchObject({ port: primary.port })
    await standby.start()
    await until(() => pool.reader.inspect().every(({ role }) => role === 'standby'), { timeoutMillis: 20_000 })
    await reads(load, 50)
    await load.stop()
    expect(load.errors).toEqual([])
    expect(await isOnStandby(pool.reader)).toBe(true)
  })

  test('a replica that falls silent under load costs no read an error', async ({ primary, standby }) => {
    await using address = await FaultProxy.start(standby)
    const options = { hostPatienceMillis: 300, watch: { silentMillis: 200, timeoutMillis: 300 } }
    await using pool = holdfast(readingFrom(primary, [address], { max: 4 }, options))
    const load = readers(pool.reader)
    await reads(load, 50)
    address.swallow()
    await reads(load, 50)
    await load.stop()
    expect(load.errors).toEqual([])
    expect(await isOnStandby(pool.reader)).toBe(false)
  })

  test('the primary serves a reader whose replica was down from the beginning, and that is said once', async ({
    primary,
    standby,
  }) => {
    const lines: string[] = []
    const logger = { debug() {}, info: (line: string) => void lines.push(line), warn() {}, error() {} }
    await using pool = holdfast(readingFrom(primary, [standby], {}, { echo: true, logger }))
    await pool.reader.query('select 1')
    await standby.stop('immediate')
    await until(() => pool.reader.totalCount === 0)
    await Promise.all(Array.from({ length: 5 }, () => pool.reader.query('select pg_sleep(0.05)')))
    const told = lines.filter((line) => line.includes('Connecting to'))
    expect(told).toEqual([expect.stringContaining(`:${primary.port} (primary), no longer to`)])
  })

  test('another replica serves before the primary does', async ({ primary, standby }) => {
    await using other = await primary.standby()
    await using pool = holdfast(readingFrom(primary, [standby, other], { loadBalanceHosts: false }))
    expect(await isOnStandby(pool.reader)).toBe(true)
    await standby.stop('immediate')
    await until(() => pool.reader.totalCount === 0)
    expect(await isOnStandby(pool.reader)).toBe(true)
    expect(pool.reader.inspect()).toMatchObject([{ port: other.port }])
  })

  test('with all servers in both lists, a failover swaps them, and costs no read an error', async ({
    primary,
    standby,
  }) => {
    await using other = await primary.standby()
    const servers = [primary, standby, other]
    const { connectionString, targetSessionAttrs } = listOf(servers, primary)
    const options = readingFrom(primary, servers, {}, { targetSessionAttrs })
    await using pool = holdfast({ ...options, connectionString })
    const load = readers(pool.reader)
    await until(() => pool.reader.inspect().some(({ role }) => role === 'standby'))
    await primary.stop('immediate')
    await standby.promote()
    expect(await isOnStandby(pool)).toBe(false)
    expect(pool.inspect()).toMatchObject([{ port: standby.port }])
    await until(() => pool.reader.inspect().every(({ port }) => port === other.port), { timeoutMillis: 20_000 })
    await load.stop()
    expect(load.errors).toEqual([])
  })

  test('connections leave a replica that was promoted', async ({ primary, standby }) => {
    await using pool = holdfast(readingFrom(primary, [standby]))
    expect(await isOnStandby(pool.reader)).toBe(true)
    await standby.promote()
    const holder = await pool.reader.connect()
    await until(() => pool.reader.status().hosts?.[0]?.role === 'primary')
    holder.release()
    await until(async () => {
      await pool.reader.query('select 1')
      return pool.reader.inspect().every(({ port }) => port === primary.port)
    })
  })
})

test("fallback: 'wait' has callers wait for the replica until their deadline", async ({ primary, standby }) => {
  const options = { connectionTimeoutMillis: 1500 }
  await using pool = holdfast(readingFrom(primary, [standby], { fallback: 'wait' }, options))
  await pool.reader.query('select 1')
  await standby.stop('immediate')
  const error = await rejection(pool.reader.query('select 1'))
  expect(error).toBeInstanceOf(PoolTimeoutError)
  const read = unattended(withPoolOptions({ connectionTimeoutMillis: 20_000 }, () => isOnStandby(pool.reader)))
  await until(() => pool.reader.waitingCount === 1)
  await standby.start()
  expect(await settles(read, 'the read')).toBe(true)
})

describe("fallback: 'fail'", () => {
  test('callers are refused at once while the replica is down, and served when it is back', async ({
    primary,
    standby,
  }) => {
    await using pool = holdfast(readingFrom(primary, [standby], { fallback: 'fail' }))
    await pool.reader.query('select 1')
    await standby.stop('immediate')
    await until(() => pool.reader.totalCount === 0)
    const errors = await Promise.all(Array.from({ length: 3 }, () => rejection(pool.reader.query('select 1'))))
    for (const error of errors) {
      expect(error).toBeInstanceOf(NoReplicaError)
      expect(error).toMatchObject({ code: 'HOLDFAST_NO_REPLICA', message: expect.stringContaining('ECONNREFUSED') })
    }
    expect(new Set(errors).size).toBe(3)
    await standby.start()
    expect(await isOnStandby(pool.reader)).toBe(true)
  })

  test('callers are refused as soon as the replica has been silent for hostPatienceMillis', async ({
    primary,
    standby,
  }) => {
    await using address = await FaultProxy.start(standby)
    const options = { hostPatienceMillis: 300, connectionTimeoutMillis: 60_000 }
    await using pool = holdfast(readingFrom(primary, [address], { fallback: 'fail' }, options))
    address.swallow()
    expect(await rejection(settles(pool.reader.query('select 1'), 'the read'))).toBeInstanceOf(NoReplicaError)
  })
})

describe('after', () => {
  test('a read after a write sees it on the replica, in each way', async ({ primary, standby }) => {
    await using pool = holdfast(readingFrom(primary, [standby]))
    for (let number = 0; number < 20; number++) {
      const after = await write(pool, `${number}`)
      const found = await withPoolOptions({ target: 'reader', after }, async () => {
        using client = await pool.connect()
        const text = 'select count(*)::int as count, pg_is_in_recovery() as is_standby from paid'
        return [(await pool.query(text)).rows[0], (await client.query(text)).rows[0]]
      })
      const expected = { count: number + 1, is_standby: true }
      expect(found).toEqual([expected, expected])
    }
    expect(pool.reader.status()).toMatchObject({ leased: 0, waiting: 0 })
  })

  test('the primary serves the read if the replica replays too late, and only that one', async ({
    primary,
    standby,
  }) => {
    await using pool = holdfast(readingFrom(primary, [standby], {}, { connectionTimeoutMillis: 2000 }))
    await pool.reader.query('select 1')
    await pauseReplay(standby)
    const after = await write(pool, 'late')
    const count = 'select count(*)::int as count from paid'
    const { rows } = await withPoolOptions({ target: 'reader', after }, () => pool.query(count))
    expect(rows).toEqual([{ count: 1 }])
    expect((await pool.reader.query(count)).rows).toEqual([{ count: 0 }])
  })

  test('without a fallback the read waits, and fails at its deadline', async ({ primary, standby }) => {
    await using pool = holdfast(readingFrom(primary, [standby], { fallback: 'wait' }))
    await pool.reader.query('select 1')
    await pauseReplay(standby)
    const after = await write(pool, 'late')
    const read = (): Promise<unknown> => pool.query('select * from paid')
    const late = withPoolOptions({ target: 'reader', after, connectionTimeoutMillis: 300 }, read)
    const error = await rejection(late)
    expect(error).toBeInstanceOf(NoReplicaError)
    expect((error as Error).message).toContain(`no replica has replayed ${after}`)
    const waiting = unattended(withPoolOptions({ target: 'reader', after }, read))
    await standby.query('select pg_wal_replay_resume()')
    expect(await settles(waiting, 'the read')).toMatchObject({ rows: [{ id: 'late' }] })
  })
})

describe('maxLagBytes', () => {
  test('a replica that lags is left for the primary, and serves again when it has caught up', async ({
    primary,
    standby,
  }) => {
    await using pool = holdfast(readingFrom(primary, [standby], { maxLagBytes: 100_000 }))
    const load = readers(pool.reader)
    await until(() => pool.reader.inspect().some(({ role }) => role === 'standby'))
    await pauseReplay(standby)
    await primary.query("insert into paid select repeat('x', 100) from generate_series(1, 10000)")
    await until(() => pool.reader.inspect().every(({ role }) => role === 'primary'), { timeoutMillis: 20_000 })
    expect(`${pool.reader.status()}`).toMatch(/the replica is \d+ bytes behind the primary, and maxLagBytes is 100000/)
    await standby.query('select pg_wal_replay_resume()')
    await until(() => pool.reader.inspect().every(({ role }) => role === 'standby'), { timeoutMillis: 20_000 })
    await load.stop()
    expect(load.errors).toEqual([])
  })

  test('a replica that lags from the beginning is refused at its login', async ({ primary, standby }) => {
    await pauseReplay(standby)
    await primary.query("insert into paid select repeat('x', 100) from generate_series(1, 10000)")
    await using pool = holdfast(readingFrom(primary, [standby], { fallback: 'fail', maxLagBytes: 100_000 }))
    const error = await rejection(pool.reader.query('select 1'))
    expect(error).toBeInstanceOf(NoReplicaError)
    expect((error as Error).message).toContain('bytes behind the primary')
  })

  test('while the primary is away, replicas go on by its last known position', async ({ primary, standby }) => {
    const replicas = { fallback: 'fail', maxLagBytes: 100_000 } as const
    await using pool = holdfast(readingFrom(primary, [standby], replicas, { hostPatienceMillis: 300 }))
    await pool.reader.query('select 1')
    await primary.stop('immediate')
    pool.reader.invalidate()
    expect(await isOnStandby(pool.reader)).toBe(true)
  })
})

describe('the end', () => {
  test('end() closes the connections of both', async ({ primary, standby }) => {
    const pool = holdfast(readingFrom(primary, [standby], { maxLagBytes: 100_000 }))
    await Promise.all([pool.query('select 1'), pool.reader.query('select 1')])
    await pool.end()
    expect(await rejection(pool.reader.query('select 1'))).toBeInstanceOf(PoolClosedError)
    await until(async () => (await primary.countSessions()) + (await standby.countSessions()) === 0)
  })

  test('drain() serves the callers of both', async ({ primary, standby }) => {
    const pool = holdfast(readingFrom(primary, [standby]))
    await pool.reader.query('select 1')
    const read = unattended(pool.reader.query('select pg_sleep(0.3)'))
    await until(() => pool.reader.status().leased === 1)
    expect(await pool.drain(10_000)).toBe(true)
    expect(pool.reader.status().leased).toBe(0)
    await read
    await pool.reader.query('select 1') // As long as it isn't ended.
    const slow = unattended(pool.reader.query('select pg_sleep(30)'))
    await until(() => pool.reader.status().leased === 1)
    expect(await pool.drain(100)).toBe(false)
    expect(await rejection(slow)).toBeInstanceOf(Error)
    await pool.end()
  })

  test('dispose() and invalidate() concern both', async ({ primary, standby }) => {
    await using pool = holdfast(readingFrom(primary, [standby]))
    await pool.reader.query('select 1')
    await pool.dispose()
    expect(pool.reader.totalCount).toBe(0)
    await pool.reader.query('select 1')
    pool.invalidate()
    expect(pool.reader.idleCount).toBe(0)
  })
})
