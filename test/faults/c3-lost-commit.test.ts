import { randomUUID } from 'node:crypto'
import { CommitOutcomeUnknownError, ConnectionLostError, isRetryable } from '@holdfast/core'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect } from 'vitest'
import type { Cluster } from '../support/index.ts'
import { test } from './support/aimed-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { rejection, settles, unattended } from './support/settling.ts'

const COMMIT = /^\s*commit\b/i
const WRITE_ENTRY = `create or replace function write_entry(entry text) returns void language sql security definer
  as 'insert into public.entry values (entry)'`

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

/** By hand, as programs that come from pg do it, without a retry. */
async function pay(pool: pg.Pool, id: string, commit = 'commit'): Promise<pg.QueryResult> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('insert into entry values ($1)', [id])
    return await client.query(commit)
  } finally {
    client.release()
  }
}

describe.each(['fin', 'rst'] as const)('COMMIT was carried out, and its answer lost by a %s', (act) => {
  test('stock pg.Pool: a lost COMMIT is an error that says nothing of it', async ({ cluster, aimed, aimedAt }) => {
    await using pool = new StockPool({ ...aimedAt, max: 1 })
    const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, act)
    const error = await rejection(pay(pool, `stock-${act}`))
    await shot.fired
    expect(error).not.toHaveProperty('commitOutcome')
    expect(await isWritten(cluster, `stock-${act}`)).toBe(true)
  })

  test('Holdfast: a COMMIT succeeds although its answer was lost', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, act)
    expect(await settles(pay(pool, act), 'the payment')).toMatchObject({ command: 'COMMIT' })
    await shot.fired
    expect(await isWritten(cluster, act)).toBe(true)
    await expectHealthy(pool, cluster, aimedAt.application_name)
  })

  test("Holdfast: pool.transaction runs once although COMMIT's answer is lost", async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, act)
    let attempts = 0
    const id = await pool.transaction(async (tx) => {
      attempts++
      await tx.query('insert into entry values ($1)', [`transaction-${act}`])
      return `transaction-${act}`
    })
    await shot.fired
    expect([attempts, await isWritten(cluster, id)]).toEqual([1, true])
  })

  test("Holdfast, 'report': a lost COMMIT is unknown, and never runs again", async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast({ ...aimedAt, lostCommit: 'report' })
    const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, act)
    let attempts = 0
    const work = pool.transaction((tx) => {
      attempts++
      return tx.query('insert into entry values ($1)', [`report-${act}`])
    })
    const error = await rejection(work)
    await shot.fired
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).not.toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error).toMatchObject({ phase: 'commit', sent: true, commitOutcome: 'unknown' })
    expect([attempts, isRetryable(error), await isWritten(cluster, `report-${act}`)]).toEqual([1, false, true])
  })
})

describe('COMMIT was lost', () => {
  test.for([
    'COMMIT',
    'commit;',
    'end',
    'COMMIT WORK',
    'commit transaction',
    '-- the last word\n/* really */ commit',
    'commit and chain',
  ])('a lost COMMIT in the form %j succeeds', async (commit, { cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /^(?:\s|--.*\n|\/\*.*?\*\/)*(?:commit|end)\b/i, point: 'on-reply' }, 'rst')
    await settles(pay(pool, commit, commit), commit)
    await shot.fired
    expect(await isWritten(cluster, commit)).toBe(true)
  })

  test('a lost COMMIT in a text of several statements is said to be unknown', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: /commit/i, point: 'on-reply' }, 'rst')
    const error = await rejection(pool.query("begin; insert into entry values ('at-once'); commit"))
    await shot.fired
    expect(error).toMatchObject({ commitOutcome: 'unknown' })
    expect([isRetryable(error), await isWritten(cluster, 'at-once')]).toEqual([false, true])
  })

  test('a lost COMMIT after statements that were not awaited succeeds', async ({ cluster, aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const client = await pool.connect()
    const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
    void unattended(client.query('begin'))
    void unattended(client.query("insert into entry values ('queued')"))
    expect(await settles(client.query('commit'), 'COMMIT')).toMatchObject({ command: 'COMMIT' })
    client.release()
    await shot.fired
    expect(await isWritten(cluster, 'queued')).toBe(true)
  })

  test.for([
    ['a function that SELECT calls', "select write_entry('by-function')", 'by-function'],
    ['a savepoint', "savepoint s; insert into entry values ('in-savepoint'); release s", 'in-savepoint'],
    [
      'a prepared statement',
      { name: 'write', text: 'insert into entry values ($1)', values: ['prepared'] },
      'prepared',
    ],
    ['a text with a semicolon', "insert into entry values ('with; semicolon')", 'with; semicolon'],
    ['a statement in portions', { text: "insert into entry values ('portions') returning id", rows: 1 }, 'portions'],
    ['a cursor', new Cursor("insert into entry values ('by-cursor') returning id"), 'by-cursor'],
  ] as const)('a lost COMMIT after a write by %s succeeds', async ([, statement, id], { cluster, aimed, aimedAt }) => {
    await cluster.withAdmin((admin) => admin.query(WRITE_ENTRY))
    await using pool = holdfast(aimedAt)
    const client = await pool.connect()
    const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
    await client.query('begin')
    if (statement instanceof Cursor) await client.query(statement).read(2)
    else await client.query(statement as string)
    expect(await settles(client.query('commit'), 'COMMIT')).toMatchObject({ command: 'COMMIT' })
    client.release()
    await shot.fired
    expect(await isWritten(cluster, id)).toBe(true)
  })

  test('a lost COMMIT that wrote nothing is said to be aborted, and safe to run again', async ({ aimed, aimedAt }) => {
    await using pool = holdfast(aimedAt)
    const shot = aimed.aim({ statement: COMMIT, point: 'on-reply' }, 'rst')
    const client = await pool.connect()
    await client.query('begin')
    await client.query("set local statement_timeout = '1s'")
    await client.query('select 1')
    const error = await rejection(client.query('commit'))
    client.release()
    await shot.fired
    expect(error).toMatchObject({ phase: 'commit', commitOutcome: 'aborted' })
    expect(isRetryable(error)).toBe(true)
  })
})

describe('looking for it', () => {
  test('identifying transactions burns no id for a transaction that wrote nothing', async ({ cluster, direct }) => {
    await using pool = holdfast(direct)
    const next = async (): Promise<bigint> => {
      const [row] = await cluster.query<{ xid: string }>('select pg_snapshot_xmax(pg_current_snapshot())::text as xid')
      return BigInt(row?.xid ?? 0)
    }
    const before = await next()
    for (let count = 0; count < 10; count++)
      await pool.transaction(async (tx) => {
        await tx.query('select 1')
        await tx.query('select $1::int', [2])
      })
    expect(await next()).toBe(before)
  })

  test('identifying transactions costs no round trip with awaited statements', async ({ proxy, proxied }) => {
    proxy.delay(15)
    await using resolving = holdfast({ ...proxied, prePing: false })
    await using reporting = holdfast({ ...proxied, prePing: false, lostCommit: 'report' })
    const timeOf = async (pool: pg.Pool): Promise<number> => {
      const startedAt = performance.now()
      await pay(pool, randomUUID())
      return performance.now() - startedAt
    }
    const ratios: number[] = []
    for (let round = 0; round < 6; round++) ratios.push((await timeOf(resolving)) / (await timeOf(reporting)))
    // One round trip more of three would be 1.33; the first round opens connections.
    expect(ratios.slice(1).toSorted((a, b) => a - b)[2]).toBeLessThan(1.2)
  })
})
