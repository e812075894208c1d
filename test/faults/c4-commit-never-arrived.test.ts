import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/aimed-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

const COMMIT = /^\s*commit\b/i

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

describe('COMMIT is swallowed on its way, and the session keeps its locks', () => {
  test("stock pg.Pool: after a swallowed COMMIT a caller of the same row waits for the session's end", async ({
    cluster,
    aimed,
    aimedAt,
    direct,
  }) => {
    await using pool = new StockPool({ ...aimedAt, max: 1, query_timeout: 200 })
    aimed.aim({ statement: COMMIT, point: 'before-forward' }, 'swallow')
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into entry values ('stock')")
    await rejection(client.query('commit'))
    client.release(true)
    await using other = new StockPool({ ...direct, max: 1 })
    void unattended(other.query("insert into entry values ('stock')"))
    await until(async () => {
      const sessions = await cluster.sessions({ applicationName: direct.application_name })
      return sessions.some((session) => session.waitEvent === 'transactionid')
    })
  })

  test('Holdfast: the session of a swallowed COMMIT ends, and wrote nothing', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, commitTimeoutMillis: 200 })
    aimed.aim({ statement: COMMIT, point: 'before-forward' }, 'swallow')
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into entry values ('c4')")
    const error = await rejection(client.query('commit'))
    expect(error).toMatchObject({ name: 'ConnectionLostError', phase: 'commit', commitOutcome: 'aborted' })
    client.release()
    expect(await isWritten(cluster, 'c4')).toBe(false)
    await settles(pool.query("insert into entry values ('c4')"), 'the same row')
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('Holdfast: pool.transaction runs again after a swallowed COMMIT', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, commitTimeoutMillis: 200 })
    aimed.aim({ statement: COMMIT, point: 'before-forward' }, 'swallow')
    const work = pool.transaction(async (tx) => {
      await tx.query("insert into entry values ('c4-again')")
      return tx.attempt
    })
    expect(await settles(work, 'the transaction')).toBe(2)
    expect(await isWritten(cluster, 'c4-again')).toBe(true)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test('Holdfast: a swallowed COMMIT that wrote nothing frees its table', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, commitTimeoutMillis: 200 })
    aimed.aim({ statement: COMMIT, point: 'before-forward' }, 'swallow')
    const work = pool.transaction(async (tx) => {
      await tx.query('lock table entry in exclusive mode')
      await tx.query('select count(*) from entry')
      return tx.attempt
    })
    expect(await settles(work, 'the transaction')).toBe(2)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test("Holdfast: a session lost before COMMIT doesn't keep its locks", async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, query_timeout: 200 })
    aimed.aim({ statement: /select 'lost'/, point: 'before-forward' }, 'swallow')
    const work = (last: string): Promise<unknown> =>
      pool.transaction(async (tx) => {
        await tx.query("insert into entry values ('c4-before')")
        await tx.query(last)
      })
    // What met query_timeout isn't run again by itself. The caller's next attempt needs the lock.
    expect(await rejection(work("select 'lost'"))).toMatchObject({ commitOutcome: 'aborted' })
    const again = (): Promise<boolean> => work("select 'again'").then(Boolean, () => false)
    await until(async () => (await again()) || isWritten(cluster, 'c4-before'))
    expect(await isWritten(cluster, 'c4-before')).toBe(true)
  })
})

test('a COMMIT that waits for a slow server is not ended while it is answered in time', async ({ cluster, direct }) => {
  await using pool = holdfast({ ...direct, commitTimeoutMillis: 5000 })
  await cluster.withAdmin((admin) => admin.query(SLOW))
  const attempt = await pool.transaction(async (tx) => {
    await tx.query("insert into slow values ('slow')")
    return tx.attempt
  })
  expect(attempt).toBe(1)
})

/** A table whose rows make COMMIT slow. */
const SLOW = `create table if not exists slow (id text);
  grant all on slow to app;
  create or replace function wait() returns trigger language plpgsql as 'begin perform pg_sleep(0.5); return null; end';
  create or replace trigger wait after insert on slow for each row execute function wait();
  drop trigger wait on slow;
  create constraint trigger wait after insert on slow deferrable initially deferred for each row execute function wait()`
