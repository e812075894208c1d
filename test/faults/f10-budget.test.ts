import diagnostics from 'node:diagnostics_channel'
import type { Pool, PoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import type { Shared, Sharer } from './programs/shares.ts'
import { Census } from './support/census.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool, warmUp } from './support/pools.ts'
import { Program } from './support/program.ts'
import { rejection, settles } from './support/settling.ts'

const TOTAL = 16
const MAX = 10
const PROCESSES = 4
const CALLERS = 20
const STATEMENT_SECONDS = 0.05
/** How many answers all of the budget's connections can give in a second. */
const ANSWERS_PER_SECOND = TOTAL / STATEMENT_SECONDS
/** How many answers each process gets while they are compared: about ten seconds. */
const WINDOW_ANSWERS = 700
/** Longer than a test lasts. */
const IDLE_TIMEOUT_MILLIS = 300_000

/** The key of the lock that each pool has for the session in which it asks. */
const MEMBER = 2_147_483_646
const MEMBERS = `select pid from pg_locks where locktype = 'advisory' and objid = ${MEMBER}`

function subscribeOnce(channel: string, tell: (message: unknown) => void): void {
  const once = (message: unknown): void => {
    diagnostics.unsubscribe(channel, once)
    tell(message)
  }
  diagnostics.subscribe(channel, once)
}

type Direct = ReturnType<Cluster['config']> & { application_name: string }

/** Starts a process of the service, whose callers ask all the time. */
function startSharer(direct: Direct, index: number): Program {
  const { application_name: name } = direct
  const options = { ...direct, application_name: `${name}-${index}`, max: MAX, budget: { total: TOTAL, name } }
  const statement = `select pg_sleep(${STATEMENT_SECONDS})`
  return Program.start('shares', { options: options as PoolOptions, callers: CALLERS, statement } satisfies Sharer)
}

function shared(program: Program): Shared {
  return (program.told.at(-1) as Shared | undefined) ?? { answers: 0, errors: [] }
}

/** How many more answers each of them has got than at the time of the call. */
function answersFromNow(programs: readonly Program[]): () => number[] {
  const before = programs.map((program) => shared(program).answers)
  return () => programs.map((program, index) => shared(program).answers - (before[index] ?? 0))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0)
}

/** A pool that shares a budget with others of this test. */
function sharing(direct: Direct, options: PoolOptions = {}): Pool {
  const budget = { total: TOTAL, name: direct.application_name }
  return holdfast({ ...direct, max: MAX, idleTimeoutMillis: IDLE_TIMEOUT_MILLIS, budget, ...options })
}

/** So many callers ask until the returned function is called, which tells how many answers they got. */
function keepBusy(pool: Pool, callers: number): () => Promise<number> {
  let isOver = false
  let answers = 0
  const call = async (): Promise<void> => {
    while (!isOver) {
      await pool.query('select pg_sleep(0.02)')
      answers++
    }
  }
  const calls = Promise.all(Array.from({ length: callers }, call))
  return async () => {
    isOver = true
    await settles(calls, 'the callers')
    return answers
  }
}

describe('the pools of several processes want more connections together than they may have', () => {
  test('stock pg.Pool: each opens as many as its max allows', async ({ cluster, direct }) => {
    await using census = await Census.begin(cluster, direct.application_name)
    await using one = new StockPool({ ...direct, max: MAX })
    await using other = new StockPool({ ...direct, max: MAX })
    await Promise.all([warmUp(one, MAX), warmUp(other, MAX)])
    await until(() => census.most > TOTAL)
  })

  test('Holdfast: with a budget they get equal parts, never more than all of it, and a latecomer gets its own soon', async ({
    cluster,
    direct,
  }) => {
    await using stack = new AsyncDisposableStack()
    const start = (index: number): Program => stack.use(startSharer(direct, index))
    const programs = Array.from({ length: PROCESSES }, (_, index) => start(index))
    const hasBegun = (program: Program): boolean => shared(program).answers > CALLERS
    await until(() => programs.every(hasBegun), { timeoutMillis: 60_000 })
    await using census = await Census.begin(cluster, direct.application_name)
    const got = answersFromNow(programs)
    await until(() => Math.min(...got()) >= WINDOW_ANSWERS, { timeoutMillis: 120_000 })
    const answers = got()
    expect(Math.min(...answers) / Math.max(...answers)).toBeGreaterThanOrEqual(0.9)
    const late = start(PROCESSES)
    await until(
      async () => (await cluster.countSessions({ applicationName: `${direct.application_name}-${PROCESSES}` })) > 0,
    )
    const meanwhile = answersFromNow(programs)
    await until(() => shared(late).answers > 0)
    expect(sum(meanwhile())).toBeLessThanOrEqual(ANSWERS_PER_SECOND)
    expect(census.most).toBeLessThanOrEqual(TOTAL)
    expect([...programs, late].flatMap((program) => shared(program).errors)).toEqual([])
  })

  test('Holdfast: with a budget all are served that come at the same moment, also where the server itself has no more', async ({
    cluster,
    direct,
  }) => {
    const user = direct.application_name.replaceAll('-', '_')
    await cluster.query(`create role ${user} login password '${cluster.password}' connection limit ${TOTAL}`)
    await using census = await Census.begin(cluster, direct.application_name)
    const pools = Array.from({ length: 6 }, () => sharing({ ...direct, user }))
    const stops = pools.map((pool) => keepBusy(pool, CALLERS))
    await until(() => pools.every((pool) => pool.stats().acquires.total > CALLERS))
    await Promise.all(stops.map((stop) => stop()))
    await Promise.all(pools.map((pool) => pool.end()))
    expect(census.most).toBeLessThanOrEqual(TOTAL)
  })

  test('Holdfast: a rolling deploy costs no error, and no connection more', async ({ cluster, direct }) => {
    await using stack = new AsyncDisposableStack()
    const olds: Program[] = []
    for (let index = 0; index < PROCESSES; index++) {
      const program = stack.use(startSharer(direct, index))
      await until(() => shared(program).answers > 0)
      olds.push(program)
    }
    await using census = await Census.begin(cluster, direct.application_name)
    const news: Program[] = []
    for (const [index, old] of olds.entries()) {
      const program = stack.use(startSharer(direct, PROCESSES + index))
      await until(() => shared(program).answers > 0)
      process.kill(old.pid, 'SIGTERM')
      expect((await old.ends()).code).toBe(0)
      news.push(program)
    }
    expect(census.most).toBeLessThanOrEqual(TOTAL)
    expect([...olds, ...news].flatMap((program) => shared(program).errors)).toEqual([])
  })
})

describe('a budget among pools that need different numbers', () => {
  test('Holdfast: idle pools lend what they have to one that is busy, and get it back', async ({ cluster, direct }) => {
    await using one = sharing(direct)
    await using other = sharing(direct)
    await warmUp(one, MAX)
    await warmUp(other, 3)
    await using census = await Census.begin(cluster, direct.application_name)
    await using busy = sharing(direct)
    const stop = keepBusy(busy, CALLERS)
    await until(() => busy.totalCount === MAX)
    await settles(Promise.all(Array.from({ length: 3 }, () => one.query('select pg_sleep(0.2)'))), 'the lender')
    await until(() => one.totalCount > 0)
    await stop()
    expect(census.most).toBeLessThanOrEqual(TOTAL)
  })

  test('Holdfast: a pool whose max is small leaves the rest to the others', async ({ cluster, direct }) => {
    await using small = sharing(direct, { max: 2 })
    await using large = sharing(direct)
    const stops = [small, large].map((pool) => keepBusy(pool, CALLERS))
    await until(() => small.totalCount === 2 && large.totalCount === MAX)
    expect(small.status().budget).toMatchObject({
      name: direct.application_name,
      total: TOTAL,
      reserve: 1,
      held: 3,
      pools: 2,
    })
    expect(large.inspect().map(({ budgetSlot }) => budgetSlot)).toEqual(Array(MAX).fill(expect.any(Number)))
    await Promise.all(stops.map((stop) => stop()))
    expect(await cluster.countSessions({ applicationName: direct.application_name })).toBeLessThanOrEqual(TOTAL)
  })

  test('Holdfast: what can not be divided goes round, so that no pool starves', async ({ direct }) => {
    // One session for each pool, one in reserve, and three connections for four pools.
    const budget = { total: 8, name: direct.application_name }
    const pools = Array.from({ length: 4 }, () => sharing(direct, { budget }))
    const stops = pools.map((pool) => keepBusy(pool, 2))
    await until(() => pools.every((pool) => pool.stats().acquires.total > 20))
    await Promise.all(stops.map((stop) => stop()))
    await Promise.all(pools.map((pool) => pool.end()))
  })

  test('Holdfast: a caller that waits in vain is told what uses the budget', async ({ direct }) => {
    const budget = { total: 3, name: direct.application_name, reserve: 0 }
    await using one = sharing(direct, { budget, max: 1 })
    await using holder = await one.connect()
    await using other = sharing(direct, { budget, connectionTimeoutMillis: 500 })
    const error = await rejection(other.query('select 1'))
    expect(error).toMatchObject({ code: 'HOLDFAST_POOL_TIMEOUT' })
    expect(String((error.cause as Error).message)).toContain(`of the budget '${direct.application_name}' are in use`)
    expect((await holder.query('select 1 as it')).rows).toEqual([{ it: 1 }])
  })
})

describe('the session in which a pool shares a budget', () => {
  test('Holdfast: it ends no process that waits for an answer, and keeps none alive', async ({ direct }) => {
    const budget = { total: TOTAL, name: direct.application_name }
    await using program = Program.start('asks-once', { ...direct, connectionTimeoutMillis: 0, budget })
    expect(await program.tells(1)).toEqual([[{ it: 1 }]])
    expect((await program.ends()).code).toBe(0)
  })

  test('Holdfast: it is lost, and the connections keep their slots until another one takes over', async ({
    cluster,
    direct,
  }) => {
    await using census = await Census.begin(cluster, direct.application_name)
    await using one = sharing(direct)
    await using other = sharing(direct)
    const stops = [one, other].map((pool) => keepBusy(pool, CALLERS))
    await until(() => one.totalCount > 5 && other.totalCount > 5)
    for (let round = 0; round < 5; round++) {
      const pids = (await cluster.query<{ pid: number }>(MEMBERS)).map(({ pid }) => pid)
      await cluster.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [pids])
      await until(async () => {
        const members = (await cluster.query<{ pid: number }>(MEMBERS)).map(({ pid }) => pid)
        return members.length === 2 && members.every((pid) => !pids.includes(pid))
      })
    }
    await until(() => one.totalCount > 5 && other.totalCount > 5)
    await Promise.all(stops.map((stop) => stop()))
    expect(census.most).toBeLessThanOrEqual(TOTAL)
  })

  test('Holdfast: it is lost and can not be opened again, and no other pool gets what the connections hold', async ({
    cluster,
    direct,
    proxy,
    proxied,
  }) => {
    const LEASED = 8
    await using one = sharing({ ...proxied, application_name: `${direct.application_name}-one` } as Direct, {
      budget: { total: TOTAL, name: direct.application_name },
    })
    const clients = await Promise.all(Array.from({ length: LEASED }, () => one.connect()))
    const [member] = await cluster.query<{ pid: number }>(MEMBERS)
    await using other = sharing(direct)
    const stop = keepBusy(other, CALLERS)
    // One in reserve, and one for the session of each pool.
    await until(() => other.totalCount === TOTAL - LEASED - 3)
    await using census = await Census.begin(cluster, direct.application_name)
    proxy.refuse()
    await cluster.query('select pg_terminate_backend($1)', [member?.pid])
    await until(() => one.stats().connections.connectFailed > 0 || one.status().budget?.pools === 0)
    const before = other.stats().acquires.total
    await until(() => other.stats().acquires.total > before + 10 * CALLERS)
    expect(one.status()).toMatchObject({ leased: LEASED, budget: { held: LEASED } })
    expect(await cluster.countSessions({ applicationName: `${direct.application_name}-one` })).toBe(LEASED)
    await proxy.heal()
    await until(() => one.status().budget?.pools === 2)
    for (const client of clients) client.release()
    await stop()
    expect(census.most).toBeLessThanOrEqual(TOTAL)
  })

  test('Holdfast: the watch looks at slow statements in it, so that it takes no connection more', async ({
    cluster,
    direct,
  }) => {
    await using census = await Census.begin(cluster, direct.application_name)
    await using pool = sharing(direct, { max: 3 })
    const slow = Promise.all(Array.from({ length: 3 }, () => pool.query('select pg_sleep(2)')))
    await until(() => pool.inspect().every((connection) => connection.slow))
    await settles(slow, 'the statements')
    expect(census.most).toBe(4)
  })

  test('Holdfast: a server that is away, or refuses for good, is told as without a budget', async ({
    direct,
    proxy,
    proxied,
  }) => {
    await using wrong = sharing({ ...direct, password: 'wrong' } as Direct)
    const refused = await Promise.all([1, 2].map(() => rejection(wrong.query('select 1'))))
    expect(refused.map(({ code }) => code)).toEqual(['28P01', '28P01'])
    await using pool = sharing(proxied as Direct)
    const recovered = new Promise((resolve) => subscribeOnce('holdfast:recovered', resolve))
    proxy.refuse()
    const statement = pool.query('select 1 as it')
    await until(() => pool.stats().connections.connectFailed > 0)
    await proxy.heal()
    expect((await settles(statement, 'the statement')).rows).toEqual([{ it: 1 }])
    await settles(recovered, 'the event')
  })

  test('Holdfast: the server is restarted, and all share the budget again', async ({ cluster, direct }) => {
    await using one = sharing(direct)
    await using other = sharing(direct)
    await Promise.all([warmUp(one, 5), warmUp(other, 5)])
    await cluster.restart()
    await using census = await Census.begin(cluster, direct.application_name)
    const stops = [one, other].map((pool) => keepBusy(pool, CALLERS))
    await until(() => one.totalCount > 5 && other.totalCount > 5)
    await Promise.all(stops.map((stop) => stop()))
    expect(census.most).toBeLessThanOrEqual(TOTAL)
  })

  test.for(['discard', 'session'] as const)(
    'Holdfast: a reset by %s frees no slot',
    async (resetOnReturn, { cluster, direct }) => {
      await using pool = sharing(direct, { resetOnReturn, max: 1 })
      await pool.query('select pg_advisory_unlock_all()')
      await until(() => pool.idleCount === 1)
      const [connection] = pool.inspect()
      const holders = await cluster.query<{ pid: number }>(
        `select pid from pg_locks where locktype = 'advisory' and objid = $1 and database =
        (select oid from pg_database where datname = current_database())`,
        [connection?.budgetSlot],
      )
      expect(holders.map(({ pid }) => pid)).toContain(connection?.backendPid)
      expect(holders).toHaveLength(2)
    },
  )

  test('Holdfast: a pool that has no connection leaves the budget, and end() leaves nothing', async ({
    cluster,
    direct,
  }) => {
    await using pool = sharing(direct, { idleTimeoutMillis: 50 })
    await pool.query('select 1')
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
    await pool.query('select 1')
    await pool.end()
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
  })
})
