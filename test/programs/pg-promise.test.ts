import { Pool, type PoolOptions } from '@holdfast/core'
import type pg from 'pg'
import pgPromise from 'pg-promise'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { warmUp } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { unnoticed } from '../faults/support/unnoticed.ts'
import { until } from '../support/index.ts'

const SIZE = 2

/** The driver that pg-promise works with: a copy of pg of its own, if npm gave it one. */
type Driver = { Pool: typeof pg.Pool; readonly Client: typeof pg.Client }

interface Library {
  readonly library: string
  readonly PoolOf: (driver: Driver) => typeof pg.Pool
  readonly options: (driver: Driver) => PoolOptions
}

const STOCK: Library = { library: 'pg.Pool', PoolOf: (driver) => driver.Pool, options: () => ({}) }
const HOLDFAST: Library = {
  library: 'Holdfast',
  PoolOf: () => Pool,
  options: () => ({ prePing: { idleMillis: 0, timeoutMillis: 300 }, connectionTimeoutMillis: 15_000 }),
}
const HOLDFAST_WITH_ITS_CLIENT: Library = {
  library: "Holdfast, with the client of pg-promise's own pg",
  PoolOf: () => Pool,
  options: (driver) => ({ ...HOLDFAST.options(driver), Client: driver.Client }),
}

interface Opened extends AsyncDisposable {
  readonly db: pgPromise.IDatabase<object>
  readonly pool: pg.Pool
  /** What pg-promise has passed to its event `error`. */
  readonly errors: string[]
}

/** pg-promise makes its pool with `new pgp.pg.Pool(connection)`, and `pgp.pg` is public: that's where to put another. */
function open({ PoolOf, options }: Library, connection: pg.PoolConfig): Opened {
  const errors: string[] = []
  const pgp = pgPromise({ noWarnings: true, error: (error: Error) => errors.push(error.message) })
  const driver = pgp.pg as unknown as Driver
  const { Pool: stock } = driver
  driver.Pool = PoolOf(driver)
  const db = pgp({ ...connection, ...options(driver) } as object)
  driver.Pool = stock
  return { db, pool: db.$pool as unknown as pg.Pool, errors, [Symbol.asyncDispose]: () => db.$pool.end() }
}

describe.each([STOCK, HOLDFAST, HOLDFAST_WITH_ITS_CLIENT])('pg-promise on $library', (library) => {
  test('pg-promise runs queries, tasks and transactions', async ({ cluster, direct, applicationName: id }) => {
    await using opened = open(library, { ...direct, max: SIZE })
    const { db, pool } = opened
    expect(pool instanceof Pool).toBe(library !== STOCK)
    expect(await db.one('select $1::int as one', [1])).toEqual({ one: 1 })
    const [pid, samePid] = await db.task(async (task) => {
      const statement = 'select pg_backend_pid() as pid'
      return [await task.one(statement), await task.one(statement)]
    })
    expect(pid).toEqual(samePid)
    await db.tx(async (tx) => {
      await tx.none('insert into entry values ($1)', [`${id} kept`])
      await tx.tx((inner) => inner.none('insert into entry values ($/id/)', { id: `${id} kept, too` }))
    })
    const failure = await rejection(
      db.tx(async (tx) => {
        await tx.none('insert into entry values ($1)', [`${id} undone`])
        await tx.none('slect')
      }),
    )
    expect(failure).toMatchObject({ code: '42601' })
    const written = await cluster.query('select id from entry where id like $1 order by id', [`${id} %`])
    expect(written).toEqual([{ id: `${id} kept` }, { id: `${id} kept, too` }])
    await until(() => pool.idleCount === pool.totalCount)
  })

  test('pg-promise reports an idle connection that was lost', async ({ cluster, direct, applicationName }) => {
    await using opened = open(library, { ...direct, max: SIZE })
    await opened.db.one('select 1 as one')
    await cluster.terminateBackends({ applicationName })
    await until(() => opened.errors.length > 0, { what: 'pg-promise to tell of the loss' })
    expect(opened.errors[0]).toContain('terminating connection due to administrator command')
  })
})

describe('pg-promise on pg.Pool', () => {
  test('a query of pg-promise on pg.Pool fails after a restart of the server', async ({ cluster, proxy, proxied }) => {
    await using opened = open(STOCK, { ...proxied, max: SIZE })
    await warmUp(opened.pool, SIZE)
    const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
    const failure = rejection(opened.db.one('select 1 as one'))
    letNewsArrive()
    expect(await failure).toMatchObject({ code: '57P01' })
  })
})

describe.each([HOLDFAST, HOLDFAST_WITH_ITS_CLIENT])('pg-promise on $library', (library) => {
  test('a query of pg-promise on Holdfast does not notice a restart', async ({ cluster, proxy, proxied }) => {
    await using opened = open(library, { ...proxied, max: SIZE })
    await warmUp(opened.pool, SIZE)
    const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
    const result = opened.db.one('select 1 as one')
    letNewsArrive()
    expect(await settles(result, 'the next query')).toEqual({ one: 1 })
    expect(opened.errors).toEqual([])
  })

  test('a killed transaction of pg-promise gets the reason', async ({ cluster, direct, applicationName: id }) => {
    await using opened = open(library, { ...direct, max: SIZE })
    const { db, pool } = opened
    const failure = await rejection(
      db.tx(async (tx) => {
        await tx.none('insert into entry values ($1)', [id])
        await cluster.terminateBackends({ applicationName: id })
        await until(async () => (await cluster.countSessions({ applicationName: id })) === 0)
        await tx.any('select 1')
      }),
    )
    expect(failure).toMatchObject({ code: '57P01', commitOutcome: 'aborted' })
    expect(await cluster.query('select from entry where id = $1', [id])).toEqual([])
    expect(await settles(db.one('select 1 as one'), 'the next query')).toEqual({ one: 1 })
    await until(() => pool.idleCount === pool.totalCount)
  })
})
