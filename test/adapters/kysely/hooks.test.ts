import { withRetry } from '@holdfast/kysely'
import { CompiledQuery, type DatabaseConnection, sql } from 'kysely'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { holdfast, StockPool } from '../../faults/support/pools.ts'
import { isPending, rejection, settles, unattended } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { kysely, stockKysely } from './support/kysely.ts'

const HOOKS = ['onCreateConnection', 'onReserveConnection'] as const

/** A hook that throws the first `times` times, and counts its calls. */
function failing(times: number): { (): Promise<void>; calls: number } {
  const hook = async (): Promise<void> => {
    if (++hook.calls <= times) throw new RangeError('of the hook')
  }
  hook.calls = 0
  return hook
}

async function run(connection: DatabaseConnection, text: string): Promise<void> {
  await connection.executeQuery(CompiledQuery.raw(text))
}

describe.each(HOOKS)('when %s throws', (hook) => {
  test('stock Kysely never releases the connection when a hook throws', async ({ direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const db = stockKysely(pool, { [hook]: failing(1) })
    expect(await rejection(sql`select 1`.execute(db))).toBeInstanceOf(RangeError)
    const next = unattended(sql`select 1`.execute(db))
    await until(() => pool.waitingCount === 1)
    expect(await isPending(next)).toBe(true)
    expect([pool.totalCount, pool.idleCount]).toEqual([1, 0])
  })

  test('HoldfastDialect rejects with the error of a hook, and releases the connection', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool, { [hook]: failing(1) })
    expect(await rejection(sql`select 1`.execute(db))).toBeInstanceOf(RangeError)
    expect((await settles(sql`select 1 as it`.execute(db), 'the next query')).rows).toEqual([{ it: 1 }])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('HoldfastDialect begins no transaction when a hook throws, and releases', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const db = kysely(pool, { [hook]: failing(2) })
    let hasBegun = false
    const begin = async (): Promise<void> => {
      hasBegun = true
    }
    expect(await rejection(db.transaction().execute(begin))).toBeInstanceOf(RangeError)
    expect(await rejection(db.startTransaction().execute())).toBeInstanceOf(RangeError)
    expect(hasBegun).toBe(false)
    await db.transaction().execute(begin)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('HoldfastDialect rolls back a transaction that a hook has left open', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    let isFirst = true
    const db = kysely(pool, {
      [hook]: async (connection: DatabaseConnection) => {
        if (!isFirst) return
        isFirst = false
        await run(connection, `begin; insert into entry values ('${hook}')`)
        throw new RangeError('of the hook')
      },
    })
    expect(await rejection(sql`select 1`.execute(db))).toBeInstanceOf(RangeError)
    await sql`insert into entry values (${`after ${hook}`})`.execute(db)
    expect(await cluster.query('select id from entry where id like $1', [`%${hook}`])).toEqual([
      { id: `after ${hook}` },
    ])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('HoldfastDialect rejects with the cause and frees the slot, if a hook lost the connection', async ({
    cluster,
    direct,
  }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    let calls = 0
    const db = kysely(pool, {
      [hook]: async (connection: DatabaseConnection) => {
        if (++calls === 1) await run(connection, 'select pg_terminate_backend(pg_backend_pid())')
      },
    })
    // The statement of a hook may have written something, so it isn't run again.
    const lost = await rejection(withRetry(db.transaction()).execute(() => {}))
    expect(lost).toMatchObject({ name: 'ConnectionLostError', code: '57P01', commitOutcome: 'unknown' })
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

test('HoldfastDialect uses a connection only after its onCreateConnection has succeeded', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const hook = failing(2)
  const db = kysely(pool, { onCreateConnection: hook })
  await rejection(sql`select 1`.execute(db))
  await rejection(sql`select 1`.execute(db))
  await sql`select 1`.execute(db)
  await sql`select 1`.execute(db)
  expect(hook.calls).toBe(3)
  expect(pool.totalCount).toBe(1)
})

test('HoldfastDialect runs onCreateConnection once for each connection, and onReserveConnection before each use', async ({
  cluster,
  direct,
  applicationName,
}) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const [created, reserved] = [failing(0), failing(0)]
  const db = kysely(pool, { onCreateConnection: created, onReserveConnection: reserved })
  for (let use = 1; use <= 3; use++) await sql`select 1`.execute(db)
  expect([created.calls, reserved.calls]).toEqual([1, 3])
  await cluster.terminateBackends({ applicationName })
  await sql`select 1`.execute(db)
  expect([created.calls, reserved.calls]).toEqual([2, 4])
})

test('HoldfastDialect keeps what onCreateConnection has set for later uses of the connection', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const db = kysely(pool, { onCreateConnection: (connection) => run(connection, "set lock_timeout = '3s'") })
  await sql`select 1`.execute(db)
  expect((await sql`show lock_timeout`.execute(db)).rows).toEqual([{ lock_timeout: '3s' }])
})

test("HoldfastDialect passes the caller's signal to the hooks", async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  const told: unknown[] = []
  const hook = async (
    _connection: DatabaseConnection,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<void> => {
    told.push(options?.signal)
  }
  const db = kysely(pool, { onCreateConnection: hook, onReserveConnection: hook })
  const { signal } = new AbortController()
  await db.selectFrom('entry').select('id').execute({ signal })
  expect(told).toEqual([signal, signal])
})

test("HoldfastDialect keeps what the pool's onConnect has set under resetOnReturn: 'session', and not what onCreateConnection has", async ({
  direct,
}) => {
  const onConnect = async (client: { query(text: string): Promise<unknown> }): Promise<void> => {
    await client.query("set statement_timeout = '7s'")
  }
  await using pool = holdfast({ ...direct, max: 1, resetOnReturn: 'session', onConnect })
  const db = kysely(pool, { onCreateConnection: (connection) => run(connection, "set lock_timeout = '3s'") })
  await sql`select 1`.execute(db)
  expect((await sql`show lock_timeout`.execute(db)).rows).toEqual([{ lock_timeout: '0' }])
  expect((await sql`show statement_timeout`.execute(db)).rows).toEqual([{ statement_timeout: '7s' }])
})
