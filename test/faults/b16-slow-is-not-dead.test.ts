import diagnostics from 'node:diagnostics_channel'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolEventMessage } from '@holdfast/core'
import type pg from 'pg'
import { from, to } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, warmUp } from './support/pools.ts'
import { settles } from './support/settling.ts'

/** Much longer than two looks at a dead connection take. */
const SLOW_MILLIS = 3000
const SIZE = 12

/** Which connections a pool has declared dead, from now on. */
function declaredDead(name: string): string[] {
  const found: string[] = []
  diagnostics.subscribe('holdfast:connection-declared-dead', (message) => {
    const { pool, verdict } = message as PoolEventMessage<'connection-declared-dead'>
    if (pool.name === name) found.push(verdict)
  })
  return found
}

async function withClient<Result>(pool: pg.Pool, run: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
  const client = await pool.connect()
  try {
    return await run(client)
  } finally {
    client.release()
  }
}

/** Everything that takes long in silence, and lives. */
const SLOW: Record<string, (pool: pg.Pool) => Promise<unknown>> = {
  'a statement that sleeps': (pool) => pool.query(`select pg_sleep(${SLOW_MILLIS / 1000})`),
  'one with values': (pool) => pool.query('select pg_sleep($1)', [SLOW_MILLIS / 1000]),
  'one that is prepared': (pool) =>
    pool.query({ name: 'slow', text: 'select pg_sleep($1)', values: [SLOW_MILLIS / 1000] }),
  'one that computes': (pool) =>
    pool.query("select count(*) from generate_series(1, 800000) n where md5(n::text) < '1'"),
  'one that waits for a lock': (pool) => pool.query('select pg_advisory_xact_lock(4711)'),
  'a transaction that thinks': (pool) =>
    withClient(pool, async (client) => {
      await client.query('begin')
      await sleep(SLOW_MILLIS)
      await client.query('commit')
    }),
  'a client that listens': (pool) =>
    withClient(pool, async (client) => {
      await client.query('listen nothing')
      await sleep(SLOW_MILLIS)
      await client.query('unlisten nothing')
    }),
  'COPY from a slow source': (pool) =>
    withClient(pool, async (client) => {
      await client.query('begin')
      async function* rows(): AsyncGenerator<string> {
        yield 'first\n'
        await sleep(SLOW_MILLIS)
        yield 'last\n'
      }
      await client.query('create temporary table copied (text text) on commit drop')
      await pipeline(Readable.from(rows()), client.query(from('copy copied from stdin')))
      const { rows: found } = await client.query('select count(*)::int as count from copied')
      await client.query('commit')
      expect(found).toEqual([{ count: 2 }])
    }),
  'COPY to a slow sink': (pool) =>
    withClient(pool, async (client) => {
      let bytes = 0
      let isPaused = false
      const sink = new Writable({
        highWaterMark: 1,
        write(chunk: Buffer, _encoding, done) {
          bytes += chunk.length
          if (isPaused) done()
          else setTimeout(done, SLOW_MILLIS)
          isPaused = true
        },
      })
      await pipeline(
        client.query(to('copy (select repeat($$x$$, 1000) from generate_series(1, 20000)) to stdout')),
        sink,
      )
      expect(bytes).toBe(20_000 * 1001)
    }),
  'a cursor that rests': (pool) =>
    withClient(pool, async (client) => {
      const cursor = client.query(new Cursor('select * from generate_series(1, 100)'))
      await cursor.read(10)
      await sleep(SLOW_MILLIS)
      expect(await cursor.read(100)).toHaveLength(90)
      await cursor.close()
    }),
  'a stream of rows that is paused': (pool) =>
    withClient(pool, async (client) => {
      const stream = client.query(new QueryStream('select repeat($1, 1000) from generate_series(1, 5000)', ['x']))
      let rows = 0
      for await (const _row of stream) if (++rows === 100) await sleep(SLOW_MILLIS)
      expect(rows).toBe(5000)
    }),
}

test('what is slow in silence is left alone', async ({ cluster, direct }) => {
  const dead = declaredDead(direct.application_name)
  await using pool = holdfast({ ...direct, name: direct.application_name, max: SIZE })
  await warmUp(pool, SIZE)
  const holder = cluster.withAdmin(async (admin) => {
    await admin.query('select pg_advisory_lock(4711)')
    await sleep(SLOW_MILLIS)
  })
  await sleep(100)
  const slow = Object.values(SLOW).map((run) => run(pool))
  await until(() => pool.inspect().some((each) => each.slow?.waitEvent === 'advisory'), {
    what: 'inspect() to show what a statement waits for',
  })
  const [locked] = pool.inspect().filter((each) => each.slow?.waitEvent === 'advisory')
  expect(locked?.slow).toMatchObject({ waitEventType: 'Lock', blockedBy: [expect.any(Number)] })
  await settles(Promise.all(slow), 'what is slow')
  await holder
  expect(dead).toEqual([])
  expect(pool.inspect().every((each) => each.slow === undefined)).toBe(true)
  await expectHealthy(pool, cluster, direct.application_name)
})

test('a blocked event loop is no silence', async ({ cluster, direct }) => {
  const dead = declaredDead(direct.application_name)
  await using pool = holdfast({ ...direct, name: direct.application_name, max: 3 })
  await warmUp(pool, 3)
  for (let round = 0; round < 3; round++) {
    const statements = Array.from({ length: 3 }, () => pool.query('select pg_sleep(0.2), 1 as one'))
    await sleep(50)
    const until = performance.now() + 1500
    while (performance.now() < until);
    for (const { rows } of await Promise.all(statements)) expect(rows).toMatchObject([{ one: 1 }])
  }
  expect(dead).toEqual([])
  await expectHealthy(pool, cluster, direct.application_name)
})

describe('a server that stands still for a while', () => {
  test('one backend, in the middle of a statement', async ({ cluster, direct }) => {
    const dead = declaredDead(direct.application_name)
    await using pool = holdfast({ ...direct, name: direct.application_name, max: 3 })
    await warmUp(pool, 3)
    const client = await pool.connect()
    const pid = await backendPid(client)
    const statement = client.query('select pg_sleep(0.5), 1 as one')
    await sleep(100)
    await cluster.freezeBackend(pid)
    await sleep(SLOW_MILLIS)
    await cluster.thawBackend(pid)
    expect((await settles(statement, 'the statement')).rows).toMatchObject([{ one: 1 }])
    client.release()
    expect(dead).toEqual([])
  })

  test('the postmaster, while every connection of the pool is in use', async ({ cluster, direct }) => {
    const dead = declaredDead(direct.application_name)
    await using pool = holdfast({ ...direct, name: direct.application_name, max: 3 })
    await warmUp(pool, 3)
    const statements = Array.from({ length: 3 }, () => pool.query('select pg_sleep(7), 1 as one'))
    await sleep(100)
    process.kill(cluster.pid as number, 'SIGSTOP')
    await sleep(6500)
    process.kill(cluster.pid as number, 'SIGCONT')
    for (const { rows } of await settles(Promise.all(statements), 'the statements'))
      expect(rows).toMatchObject([{ one: 1 }])
    expect(dead).toEqual([])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('the whole server', async ({ cluster, direct }) => {
    const dead = declaredDead(direct.application_name)
    await using pool = holdfast({ ...direct, name: direct.application_name, max: 3 })
    await warmUp(pool, 3)
    const statements = Array.from({ length: 3 }, () => pool.query('select pg_sleep(0.5), 1 as one'))
    await sleep(100)
    await cluster.freeze()
    await sleep(6500)
    await cluster.thaw()
    for (const { rows } of await settles(Promise.all(statements), 'the statements'))
      expect(rows).toMatchObject([{ one: 1 }])
    expect(dead).toEqual([])
  })
})

test('a network that stalls for four seconds and loses nothing', async ({ cluster, proxy, proxied }) => {
  const dead = declaredDead(proxied.application_name)
  await using pool = holdfast({ ...proxied, name: proxied.application_name, max: 5, prePing: { idleMillis: 60_000 } })
  await warmUp(pool, 5)
  const statements = Array.from({ length: 3 }, () => pool.query('select pg_sleep(0.3), 1 as one'))
  await sleep(100)
  proxy.delay(Number.POSITIVE_INFINITY)
  await sleep(4000)
  await proxy.heal()
  for (const { rows } of await settles(Promise.all(statements), 'the statements'))
    expect(rows).toMatchObject([{ one: 1 }])
  expect(dead).toEqual([])
  await expectHealthy(pool, cluster, proxied.application_name)
})

/** So many statements, at random: `npm run fuzz:watch` tries ten thousand. */
const RUNS = Number(process.env.HOLDFAST_RUNS ?? 150)
const AT_ONCE = 30

/** A generator that a seed determines (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Runs one statement that is silent for a while, and checks its result. */
async function runSilent(pool: pg.Pool, random: () => number, number: number): Promise<void> {
  const seconds = 0.05 + random() * 1.2
  const kind = Math.floor(random() * 6)
  if (kind === 0) await withClient(pool, (client) => restOnCursor(client, seconds))
  else if (kind === 1) await withClient(pool, (client) => insertInTransaction(client, seconds, number))
  else if (kind === 2) await pool.query('select pg_advisory_xact_lock($1), pg_sleep($2)', [number % 3, seconds / 4])
  else if (kind === 3) {
    const { rows } = await pool.query('select repeat($1, 20000) as text, pg_sleep($2)', ['x', seconds])
    expect(rows[0].text).toHaveLength(20_000)
  } else {
    const { rows } = await pool.query('select pg_sleep($1), $2::int as number', [seconds, number])
    expect(rows).toMatchObject([{ number }])
  }
}

async function restOnCursor(client: pg.PoolClient, seconds: number): Promise<void> {
  const cursor = client.query(new Cursor('select n, pg_sleep($1) from generate_series(1, 3) n', [seconds / 4]))
  await cursor.read(1)
  await sleep(seconds * 1000)
  expect(await cursor.read(5)).toHaveLength(2)
  await cursor.close()
}

async function insertInTransaction(client: pg.PoolClient, seconds: number, number: number): Promise<void> {
  const id = `random ${number}`
  await client.query('begin')
  await client.query('insert into entry select $1 from pg_sleep($2)', [id, seconds])
  await client.query('commit')
  expect((await client.query('select 1 from entry where id = $1', [id])).rows).toHaveLength(1)
}

test('random statements on a slow network, by a busy process: no verdict is false', { timeout: 3_600_000 }, async ({
  proxy,
  proxied,
}) => {
  const dead = declaredDead(proxied.application_name)
  const seed = Math.floor(Math.random() * 2 ** 31)
  const random = randomFrom(seed)
  await using pool = holdfast({
    ...proxied,
    name: proxied.application_name,
    max: AT_ONCE,
    prePing: false,
    watch: { silentMillis: 100 },
  })
  await warmUp(pool, AT_ONCE)
  let isOver = false
  const disturb = async (): Promise<void> => {
    while (!isOver) {
      await sleep(random() * 400)
      const what = random()
      if (what < 0.3) {
        const end = performance.now() + random() * 700
        while (performance.now() < end);
      } else if (what < 0.5) proxy.delay(random() * 60)
      else if (what < 0.55) {
        proxy.delay(Number.POSITIVE_INFINITY)
        await sleep(random() * 2000)
        await proxy.heal()
      } else await proxy.heal()
    }
  }
  const disturbing = disturb()
  let begun = 0
  const work = async (): Promise<void> => {
    while (begun < RUNS) await runSilent(pool, random, ++begun)
  }
  const workers = await Promise.allSettled(Array.from({ length: AT_ONCE }, work))
  isOver = true
  await disturbing
  await proxy.heal()
  expect({ seed, dead, failed: workers.filter(({ status }) => status === 'rejected') }).toEqual({
    seed,
    dead: [],
    failed: [],
  })
})
