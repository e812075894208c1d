import { randomUUID } from 'node:crypto'
import { CommitOutcomeUnknownError, ConnectionLostError, type Pool } from '@holdfast/core'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { PoolClient } from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/aimed-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast, WAYS } from '../faults/support/pools.ts'
import { rejection } from '../faults/support/settling.ts'
import type { Cluster } from '../support/index.ts'

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

/** The texts that a server is asked to run, of each statement of this caller. */
async function sentBy(pool: Pool, run: () => Promise<unknown>, leased?: PoolClient): Promise<string[]> {
  const sent: string[] = []
  const client = leased ?? (await pool.connect())
  const { connection } = client as unknown as { connection: Record<string, (...all: never[]) => unknown> }
  if (!leased) client.release()
  const { parse, query } = connection
  connection.parse = (statement: { text: string }) => {
    if (!/pg_current_xact_id/.test(statement.text)) sent.push(statement.text)
    return parse?.apply(connection, [statement] as never)
  }
  connection.query = (text: string) => {
    if (!/pg_current_xact_id/.test(text)) sent.push(text)
    return query?.apply(connection, [text] as never)
  }
  try {
    await run()
  } finally {
    Object.assign(connection, { parse, query })
  }
  return sent
}

const on = (options: object): Pool => holdfast({ max: 1, prePing: false, transactionalWrites: true, ...options })

describe.each(WAYS)('with transactionalWrites, $way', ({ run }) => {
  test.for([
    'insert into entry values (gen_random_uuid()::text)',
    'with new as (select 1) update entry set id = id where false',
    'select pg_advisory_unlock_all()',
    'create temporary table if not exists note (line text)',
    'notify news',
  ])('encloses "%s"', async (text, { direct }) => {
    await using pool = on(direct)
    const sent = await sentBy(pool, () => run(pool, text))
    expect(sent).toEqual(['BEGIN', text, 'COMMIT'])
  })

  test.for([
    'select now()',
    'select count(*) from entry where id = gen_random_uuid()::text',
    'select 1; insert into entry values (gen_random_uuid()::text)',
    'set application_name to default',
    'vacuum',
    'do $$ begin perform 1; end $$',
  ])('leaves "%s" as it is', async (text, { direct }) => {
    await using pool = on(direct)
    await pool.query('select 1')
    expect(await sentBy(pool, () => run(pool, text))).toEqual([text])
  })

  test('runs what can not be in a transaction by itself', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) => admin.query('create schema if not exists own authorization app'))
    await using pool = on(direct)
    await run(pool, 'create table if not exists own.note (line text)')
    const text = `create index concurrently "${randomUUID()}" on own.note (line)`
    expect(await sentBy(pool, () => run(pool, text))).toEqual(['BEGIN', text, 'ROLLBACK', text])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('finds out what became of a COMMIT whose answer is lost', async ({ cluster, aimed, aimedAt }) => {
    await using pool = on(aimedAt)
    await run(pool, 'insert into entry values (gen_random_uuid()::text)')
    const id = randomUUID()
    const shot = aimed.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
    expect(await run(pool, 'insert into entry values ($1) returning id', [id])).toMatchObject({ rows: [{ id }] })
    await shot.fired
    expect(await isWritten(cluster, id)).toBe(true)
  })

  test('tells an SQL error as it is, and the session is clean', async ({ cluster, direct }) => {
    await using pool = on(direct)
    expect(await rejection(run(pool, 'insert into entry values (null)'))).toMatchObject({ code: '23502' })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

test('transactionalWrites leaves a statement alone that says so', async ({ direct }) => {
  await using pool = on(direct)
  const insert = (options: object) => ({ text: 'insert into entry values (gen_random_uuid()::text)', ...options })
  await pool.query('select 1')
  for (const options of [{ transactional: false }, { idempotent: true }])
    expect(await sentBy(pool, () => pool.query(insert(options)))).toEqual([insert({}).text])
  const third = { transactional: false }
  expect(await sentBy(pool, () => pool.query(insert({}).text, undefined, third))).toEqual([insert({}).text])
  await using client = await pool.connect()
  await client.query(insert({ transactional: false }))
  const { rows } = await client.query('select pg_current_xact_id_if_assigned() as xid')
  expect(rows).toEqual([{ xid: null }])
})

test('a client that was lost before COMMIT says that nothing was written', async ({ cluster, aimed, aimedAt }) => {
  await using pool = on(aimedAt)
  const id = randomUUID()
  await pool.query('select 1')
  await using client = await pool.connect()
  await client.query('select 1')
  const shot = aimed.aim({ statement: /^insert/, point: 'on-reply' }, 'rst')
  const error = await rejection(client.query('insert into entry values ($1)', [id]))
  await shot.fired
  expect(error).toBeInstanceOf(ConnectionLostError)
  expect(error).toMatchObject({ phase: 'transaction', commitOutcome: 'aborted' })
  expect(error).not.toBeInstanceOf(CommitOutcomeUnknownError)
  expect(await isWritten(cluster, id)).toBe(false)
})

test('statements that are not awaited run in their order, and in a transaction of the caller as they are', async ({
  direct,
}) => {
  await using pool = on(direct)
  await pool.query('select 1')
  await using client = await pool.connect()
  const insert = (): string => `insert into entry values ('${randomUUID()}')`
  const [one, two, three] = [insert(), insert(), insert()]
  const sent = await sentBy(
    pool,
    async () => {
      await Promise.all([
        client.query(one),
        client.query(two),
        client.query('begin'),
        client.query(three),
        client.query('commit'),
      ])
    },
    client,
  )
  expect(sent).toEqual(['BEGIN', one, 'COMMIT', two, 'begin', three, 'commit'])
})

test('Drizzle as it is writes once, whatever is lost', async ({ cluster, aimed, aimedAt }) => {
  await using pool = on(aimedAt)
  const db = drizzle({ client: pool })
  await db.execute('insert into entry values (gen_random_uuid()::text)')
  for (const statement of [/^insert/, /^commit$/i]) {
    const id = randomUUID()
    const shot = aimed.aim({ statement, point: 'on-reply' }, 'rst')
    await db.execute(`insert into entry values ('${id}')`)
    await shot.fired
    expect(await isWritten(cluster, id)).toBe(true)
  }
})
