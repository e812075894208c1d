import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, type ClusterConfig, until } from '../support/index.ts'
import type { Termination } from './programs/terminate-all.ts'
import type { Blockade } from './programs/while-blocked.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS, type Way, warmUp } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

const QUERY_TIMEOUT_MILLIS = 2000
const PING_TIMEOUT_MILLIS = 200
const LOCK = 4711

/** Blocks this process's event loop, while another process lets the server do its work; see the program. */
function blockWhile(blockade: Blockade): void {
  runBlocked('while-blocked', blockade)
}

/** Blocks this process's event loop, while its sessions are terminated: the notices are unread in the sockets. */
function terminateWhileBlocked({ cluster, direct }: Pick<Row, 'cluster' | 'direct'>): void {
  const config = cluster.config({ user: 'postgres' })
  runBlocked('terminate-all', { config, applicationName: direct.application_name } satisfies Termination)
}

function runBlocked(name: string, task: unknown): void {
  const program = fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url))
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--experimental-strip-types', '--no-warnings', program, JSON.stringify(task)],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(stderr)
}

interface Row {
  readonly cluster: Cluster
  readonly direct: ClusterConfig & { readonly application_name: string }
  readonly id: string
}

/**
 * Runs an insert that waits for a lock, blocks the event loop, has the lock released, and unblocks when the insert is
 * committed and its timeout has passed: the reply is unread in the socket.
 */
async function insertWhileBlocked(pool: pg.Pool, { run }: Way, { cluster, direct, id }: Row): Promise<unknown> {
  return cluster.withAdmin(async (admin) => {
    await admin.query('select pg_advisory_lock($1)', [LOCK])
    const lockHolder = (await admin.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid as number
    const insert = `with lock as materialized (select pg_advisory_xact_lock(${LOCK})) insert into entry select $1 from lock`
    const startedAt = performance.now()
    const statement = run(pool, insert, [id])
    statement.catch(() => {})
    await until(async () =>
      (await cluster.sessions({ applicationName: direct.application_name, state: 'active' })).some(
        ({ waitEvent }) => waitEvent === 'advisory',
      ),
    )
    const remaining = QUERY_TIMEOUT_MILLIS - (performance.now() - startedAt)
    blockWhile({ config: cluster.config({ user: 'postgres' }), lockHolder, id, atLeastMillis: remaining + 200 })
    return statement
  })
}

describe.each(WAYS)('through $way', (way) => {
  test('stock pg.Pool condemns a committed write after a blocked event loop', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    await warmUp(pool, 1)
    const id = `stock ${way.way}`
    const error = await rejection(insertWhileBlocked(pool, way, { cluster, direct, id }))
    expect(error.message).toBe('Query read timeout')
    expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
  })

  test('Holdfast reads what lies in the socket before it believes its timer', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1, query_timeout: QUERY_TIMEOUT_MILLIS })
    const [pid] = await warmUp(pool, 1)
    const id = `holdfast ${way.way}`
    expect(await insertWhileBlocked(pool, way, { cluster, direct, id })).toMatchObject({ rowCount: 1 })
    expect(await warmUp(pool, 1)).toEqual([pid])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast keeps a connection whose ping was answered during a block', async ({ cluster, direct }) => {
    const prePing = { idleMillis: 0, timeoutMillis: PING_TIMEOUT_MILLIS }
    await using pool = holdfast({ ...direct, max: 3, prePing })
    const pids = await warmUp(pool, 3)
    const statements = pids.map(() => way.run(pool, 'select pg_backend_pid() as pid, pg_sleep(0.1)'))
    // Blocked until the pings have timed out.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * PING_TIMEOUT_MILLIS)
    const results = await settles(Promise.all(statements), 'the statements')
    expect(results.map(({ rows }) => rows[0].pid).sort()).toEqual(pids.sort())
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe.each(WAYS)('a statement in the tick in which the event loop was blocked, through $way', (way) => {
  // Longer than the block, so that no connection is pinged: what lies in the sockets has to tell.
  const prePing = { idleMillis: 60_000, timeoutMillis: PING_TIMEOUT_MILLIS }

  test('stock pg.Pool sends on a connection that died during a block', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 2 })
    await warmUp(pool, 2)
    terminateWhileBlocked({ cluster, direct })
    expect(await rejection(way.run(pool, 'select 1'))).toMatchObject({ code: '57P01' })
  })

  test.for([
    ['a promise', (next: () => void) => queueMicrotask(next)],
    ['a timer', (next: () => void) => setTimeout(next)],
    ['an immediate', (next: () => void) => setImmediate(next)],
    ['the answer of a statement', undefined],
  ] as const)(
    'Holdfast reads the sockets after a blocked event loop before it sends: in the tick of %s',
    async ([, enter], { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 2, prePing })
      const before = await warmUp(pool, 2)
      if (enter) await new Promise<void>(enter)
      else await way.run(pool, 'select 1')
      terminateWhileBlocked({ cluster, direct })
      const statements = [1, 2, 3].map(() => way.run(pool, 'select pg_backend_pid() as pid'))
      const pids = (await settles(Promise.all(statements), 'the statements')).map(({ rows }) => rows[0].pid)
      expect(pids.filter((pid) => before.includes(pid))).toEqual([])
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('Holdfast keeps a connection that has lived through a block of the event loop', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 2, prePing })
    const before = await warmUp(pool, 2)
    // A timer, so that the loop is known to have been blocked.
    await new Promise<void>((next) => setTimeout(next))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * PING_TIMEOUT_MILLIS)
    const statements = [1, 2, 3].map(() => way.run(pool, 'select pg_backend_pid() as pid'))
    const pids = (await settles(Promise.all(statements), 'the statements')).map(({ rows }) => rows[0].pid)
    expect(pids.filter((pid) => !before.includes(pid))).toEqual([])
  })
})
