import { isRetryable, OptionsError } from '@holdfast/core'
import { transaction } from '@holdfast/typeorm'
import { type DataSource, EntitySchema, type QueryRunner } from 'typeorm'
import { describe, expect } from 'vitest'
import { test as base } from '../../faults/support/fault-test.ts'
import { rejection, settles } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'
import { Entry } from '../subjects/typeorm-stock.ts'
import { busyBackend, written } from '../support/health.ts'
import { addressOf, connected, poolOf } from './support/data-source.ts'

const AT_ONCE = { minTimeout: 1, maxTimeout: 10 }
const CONFLICT = "do $$begin raise 'conflict' using errcode = '40001'; end$$"

interface Account {
  id: number
  balance: number
  version: number
}

const AccountSchema = new EntitySchema<Account>({
  name: 'account',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    balance: { type: 'int' },
    version: { type: 'int', version: true },
  },
})

const test = base
  .extend('source', async ({ direct, applicationName }, { onCleanup }) => {
    const source = await connected({
      ...addressOf(direct),
      applicationName,
      poolSize: 2,
      entities: [Entry, AccountSchema],
    })
    onCleanup(async () => {
      if (source.isInitialized) await source.destroy()
    })
    return source
  })
  .extend('killSessions', ({ cluster, source, applicationName }) => async () => {
    await cluster.terminateBackends({ applicationName })
    await until(() => poolOf(source).totalCount === 0, { what: 'the pool to notice' })
  })

/** A subscriber that throws in one of TypeORM's hooks, the first time. */
function throwingIn(source: DataSource, hook: string, error: Error): void {
  let hasThrown = false
  source.subscribers.push({
    [hook]: () => {
      if (hasThrown) return
      hasThrown = true
      throw error
    },
  })
}

const conflict = (): Error => Object.assign(new Error('conflict'), { code: '40001' })

describe('transaction()', () => {
  test('transaction() commits and resolves with the result of its function, or rolls back and throws its error', async ({
    cluster,
    source,
  }) => {
    const result = await transaction(source, async (manager, info) => {
      await manager.insert(Entry, { id: 'committed' })
      return info
    })
    expect(result).toEqual({ attempt: 1 })
    const own = new RangeError('of the function')
    const failed = transaction(source, async (manager) => {
      await manager.insert(Entry, { id: 'rolled back' })
      throw own
    })
    expect(await rejection(failed)).toBe(own)
    expect(await written(cluster, 'committed', 'rolled back')).toEqual(['committed'])
  })

  test('transaction() runs again by default, with a new query runner', async ({ cluster, source, killSessions }) => {
    const runners = new Set<QueryRunner | undefined>()
    const attempts = await transaction(source, async (manager, { attempt }) => {
      runners.add(manager.queryRunner)
      await manager.insert(Entry, { id: 'in the third' })
      if (attempt === 1) await manager.query(CONFLICT)
      if (attempt === 2) await killSessions()
      return attempt
    })
    expect(attempts).toBe(3)
    expect(runners.size).toBe(3)
    expect(await written(cluster, 'in the third')).toEqual(['in the third'])
  })

  test('transaction() leaves dataSource.transaction() running once', async ({ source }) => {
    let runs = 0
    const once = source.transaction(async (manager) => {
      runs++
      await manager.query(CONFLICT)
    })
    expect(isRetryable(await rejection(once))).toBe(true)
    expect(runs).toBe(1)
  })

  test("transaction() runs at its own isolation level, else the data source's or server's", async ({ source }) => {
    const level = (options: Parameters<typeof transaction>[1]): Promise<string> =>
      transaction(source, options as object, async (manager) => {
        const [{ transaction_isolation: level }] = await manager.query('show transaction_isolation')
        return level
      })
    expect(await level({ isolationLevel: 'SERIALIZABLE' })).toBe('serializable')
    expect(await level({ isolationLevel: undefined })).toBe('read committed')
    source.setOptions({ isolationLevel: 'REPEATABLE READ' })
    expect(await level({})).toBe('repeatable read')
    expect(await level({ isolationLevel: 'SERIALIZABLE' })).toBe('serializable')
  })

  test('transaction() runs once with `retry: false`, else as often as `retries` says', async ({ source }) => {
    for (const [retry, expected] of [
      [false, 1],
      [{ ...AT_ONCE, retries: 1 }, 2],
      [{ ...AT_ONCE, retries: 5 }, 6],
    ] as const) {
      let runs = 0
      const failing = transaction(source, { retry }, async (manager) => {
        runs++
        await manager.query(CONFLICT)
      })
      expect(await rejection(failing)).toMatchObject({ code: '40001' })
      expect(runs).toBe(expected)
    }
  })

  test('transaction() rolls back to a savepoint when a nested transaction fails', async ({ cluster, source }) => {
    await transaction(source, async (manager) => {
      await manager.insert(Entry, { id: 'outer' })
      const inner = manager.transaction(async (nested) => {
        await nested.insert(Entry, { id: 'inner' })
        await nested.query('select 1 / 0')
      })
      expect(await rejection(inner)).toMatchObject({ code: '22012' })
    })
    expect(await written(cluster, 'outer', 'inner')).toEqual(['outer'])
  })

  test("transaction() cancels the running statement when its signal is aborted, and rejects with the signal's reason", async ({
    cluster,
    source,
    applicationName,
  }) => {
    const giveUp = new AbortController()
    const given = transaction(source, { signal: giveUp.signal }, async (manager) => {
      await manager.insert(Entry, { id: 'given up' })
      await manager.query('select pg_sleep(60)')
    })
    const failed = rejection(given)
    await busyBackend({ cluster, applicationName }, 'pg_sleep')
    const reason = new Error('had enough')
    giveUp.abort(reason)
    expect(await failed).toBe(reason)
    await until(async () => (await cluster.sessions({ applicationName, state: 'active' })).length === 0)
    expect(await written(cluster, 'given up')).toEqual([])
  })

  test.for(['beforeTransactionStart', 'afterTransactionStart', 'beforeTransactionCommit'])(
    'transaction() runs again when a subscriber throws 40001 in %s',
    async (hook, { cluster, source }) => {
      throwingIn(source, hook, conflict())
      const id = `in spite of ${hook}`
      const attempt = await transaction(source, { retry: AT_ONCE }, async (manager, info) => {
        await manager.insert(Entry, { id })
        return info.attempt
      })
      expect(attempt).toBe(2)
      expect(await written(cluster, id)).toEqual([id])
    },
  )

  test('transaction() does not run again when a subscriber throws 40001 after COMMIT', async ({ cluster, source }) => {
    const own = conflict()
    throwingIn(source, 'afterTransactionCommit', own)
    let runs = 0
    const failed = transaction(source, { retry: AT_ONCE }, async (manager) => {
      runs++
      await manager.insert(Entry, { id: 'written once' })
    })
    expect(await rejection(failed)).toBe(own)
    expect(isRetryable(own)).toBe(true)
    expect(runs).toBe(1)
    expect(await written(cluster, 'written once')).toEqual(['written once'])
  })

  test('transaction() saves entities that its function makes in the last attempt', async ({ cluster, source }) => {
    await cluster.query('drop table if exists account')
    await source.synchronize()
    const saved = await transaction(source, { retry: AT_ONCE }, async (manager, { attempt }) => {
      const account = await manager.save(AccountSchema, { balance: 100 })
      if (attempt === 1) await manager.query(CONFLICT)
      return account
    })
    expect(await source.getRepository(AccountSchema).find()).toEqual([saved])
  })

  // This is TypeORM's, and can't be changed from outside. So the documentation asks for entities that `fn` makes or loads.
  test('transaction() leaves an entity as a failed attempt has changed it', async ({ cluster, source }) => {
    await cluster.query('drop table if exists account')
    await source.synchronize()
    const outside = { balance: 100 } as Account
    const ids: unknown[] = []
    await transaction(source, { retry: AT_ONCE }, async (manager, { attempt }) => {
      ids.push(outside.id)
      outside.balance -= 5
      await manager.save(AccountSchema, outside)
      if (attempt === 1) await manager.query(CONFLICT)
    })
    expect(ids).toEqual([undefined, 1]) // It looks saved when it isn't.
    expect(await source.getRepository(AccountSchema).find()).toMatchObject([{ balance: 90 }])
  })

  test.for([
    { retry: 'often' },
    { retries: 3 },
    { signal: 1 },
    { isolation: 'SERIALIZABLE' },
    { connectionTimeoutMillis: -1 },
    'SERIALIZABLE',
  ])('transaction() refuses %o as options', async (options, { source }) => {
    let hasRun = false
    const refused = transaction(source, options as object, async () => {
      hasRun = true
    })
    expect(await rejection(refused)).toBeInstanceOf(OptionsError)
    expect(hasRun).toBe(false)
  })

  test("transaction() refuses anything that isn't a function, and an isolation level that TypeORM doesn't know", async ({
    source,
  }) => {
    for (const wrong of [[], [{}], [{}, 'work']])
      await expect((transaction as (...given: unknown[]) => Promise<unknown>)(source, ...wrong)).rejects.toThrow(
        TypeError,
      )
    const lower = { isolationLevel: 'serializable' as 'SERIALIZABLE' }
    await expect(transaction(source, lower, async () => {})).rejects.toThrow('isolation level is not supported')
    expect(await settles(source.query('select 1 as it'), 'the next query')).toEqual([{ it: 1 }])
  })
})
