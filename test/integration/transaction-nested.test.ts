import { PoolDeadlockError, type Transaction } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { deferred } from '../support/deferred.ts'
import { until } from '../support/index.ts'

const SHORT = { connectionTimeoutMillis: 500 }
const NESTED = { name: 'PoolDeadlockError', code: 'HOLDFAST_POOL_DEADLOCK' }

const LOCK = 'select pg_advisory_xact_lock(4713)'
/** By a trigger that is deferred to it, COMMIT waits for the lock. */
const LOCK_AT_COMMIT = `
  create table slow (id int);
  grant all on slow to app;
  create function lock() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(4713); return null; end $$;
  create constraint trigger lock after insert on slow deferrable initially deferred for each row execute function lock()`

describe('a transaction in the function of another, without its tx', () => {
  test('a nested transaction on the only connection rejects, with both stacks', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, ...SHORT, max: 1 })
    async function payOut(): Promise<unknown> {
      return await pool.transaction((tx) => tx.query('select 1'))
    }
    async function closeAccount(): Promise<unknown> {
      return await pool.transaction(async (tx) => {
        await tx.query('select 1')
        await payOut()
      })
    }
    const error = await rejection(closeAccount())
    expect(error).toBeInstanceOf(PoolDeadlockError)
    expect(error).toMatchObject({ code: 'HOLDFAST_POOL_DEADLOCK', message: expect.stringContaining('max') })
    expect(error.stack).toContain('payOut')
    expect((error.cause as Error).stack).toContain('closeAccount')
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('of several nested transactions one rejects, and the others go on', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 3, connectionTimeoutMillis: 60_000 })
    let inside = 0
    const all = deferred()
    const nest = (options = {}): Promise<unknown> =>
      pool.transaction(async () => {
        if (++inside === 3) all.resolve()
        await all.promise
        return pool.transaction((tx) => tx.query('select 1'), options)
      })
    const ends = await settles(Promise.allSettled([nest(SHORT), nest(), nest()]), 'all three')
    const failures = ends.filter(({ status }) => status === 'rejected')
    expect(failures).toMatchObject([{ reason: { name: 'PoolDeadlockError' } }])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('several nested transactions with one deadline reject with the reason', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, ...SHORT, max: 2 })
    let inside = 0
    const all = deferred()
    const nest = (): Promise<unknown> =>
      pool.transaction(async () => {
        if (++inside === 2) all.resolve()
        await all.promise
        return pool.transaction((tx) => tx.query('select 1'))
      })
    const ends = await settles(Promise.allSettled([nest(), nest()]), 'both')
    expect(ends).toMatchObject([{ reason: NESTED }, { reason: NESTED }])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test.for(['inner', 'outer'] as const)(
    'a nested transaction rejects when the timeoutMillis of the %s one has passed',
    async (whose, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1, connectionTimeoutMillis: 60_000 })
      const [outer, inner] = whose === 'outer' ? [{ timeoutMillis: 300 }, {}] : [{}, { timeoutMillis: 300 }]
      const nested = pool.transaction(() => pool.transaction((tx) => tx.query('select 1'), inner), outer)
      expect(await rejection(nested)).toMatchObject({ ...NESTED, cause: { message: expect.stringContaining('outer') } })
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('a nested transaction beside one that waits for pool.query rejects as well', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 2, connectionTimeoutMillis: 60_000 })
    let inside = 0
    const all = deferred()
    const within = (work: () => Promise<unknown>): Promise<unknown> =>
      pool.transaction(async () => {
        if (++inside === 2) all.resolve()
        await all.promise
        return work()
      })
    const nested = within(() => pool.transaction((tx) => tx.query('select 1'), SHORT))
    const plain = within(() => pool.query('select 1 as one'))
    expect(await rejection(nested)).toMatchObject(NESTED)
    expect(await settles(plain, 'the other')).toMatchObject({ rows: [{ one: 1 }] })
  })

  test('a nested transaction is served while another statement or transaction will end', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 2 })
    const statement = pool.query('select pg_sleep(0.2)')
    const result = await pool.transaction(() => pool.transaction(() => 'inner'))
    expect(result).toBe('inner')
    await statement
  })
})

describe('a transaction that is begun in the function of another, and not awaited there', () => {
  test.for([
    ['goes on', (tx: Transaction) => tx.query('select pg_sleep(0.2)')],
    ['has returned', () => undefined],
  ] as const)(
    'a transaction begun in another, and not awaited, has its turn on the only connection: the outer one %s',
    async ([_how, rest], { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      let inner: Promise<unknown> | undefined
      const outer = pool.transaction(async (tx) => {
        inner = pool.transaction(() => 'inner')
        await rest(tx)
        return 'outer'
      })
      expect(await settles(outer, 'the outer one')).toBe('outer')
      expect(await settles(inner as Promise<unknown>, 'the inner one')).toBe('inner')
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test.for([
    ['still works', LOCK, ''],
    ['is being committed', 'insert into slow values (1)', LOCK_AT_COMMIT],
  ] as const)(
    'a transaction begun in another, and not awaited, waits in vain without a deadlock while the outer one %s',
    async ([_how, statement, setUp], { cluster, direct }) => {
      await using pool = holdfast({ ...direct, ...SHORT, max: 1 })
      await cluster.withAdmin(async (admin) => {
        await admin.query(`${setUp}; select pg_advisory_lock(4713)`)
        let inner: Promise<Error> | undefined
        const outer = pool.transaction(async (tx) => {
          inner = rejection(pool.transaction(() => 'inner'))
          await tx.query(statement)
        })
        await until(() => inner)
        expect(await inner).toMatchObject({ name: 'PoolTimeoutError', details: { leased: 1 } })
        await admin.query('select pg_advisory_unlock(4713)')
        await settles(outer, 'the outer one')
      })
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('a worker whose jobs start the next job goes on, on one connection', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const ends: number[] = []
    await settles(
      new Promise<void>((resolve, reject) => {
        const job = (number: number): void => {
          const done = pool.transaction(async (tx) => {
            await tx.query('select 1')
            if (number < 200) setImmediate(job, number + 1)
            else done.then(() => resolve(), reject)
          })
          done.then(() => ends.push(number), reject)
        }
        job(1)
      }),
      'all jobs',
    )
    expect(ends).toHaveLength(200)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
