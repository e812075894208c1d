import type { AttemptInfo, PoolOptions } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { expectHealthy } from '../../faults/support/health.ts'
import { rejection } from '../../faults/support/settling.ts'
import { type Cluster, until } from '../../support/index.ts'
import { kill, written } from '../support/health.ts'
import { meeting } from '../support/open.ts'
import { EDITIONS } from './support/editions.ts'

/** Retries almost without delay. */
const AGAIN = { retries: 3, minTimeout: 1, maxTimeout: 10 }

/** Fails with a serialization failure. */
const CONFLICT = "do $$ begin raise exception using errcode = '40001'; end $$"

/** A transaction or a database of either edition. */
interface Executor {
  execute(sql: string): PromiseLike<{ readonly rows: Record<string, unknown>[] }>
}

async function pidOf(executor: Executor): Promise<number> {
  return (await executor.execute('select pg_backend_pid() as pid')).rows[0]?.pid as number
}

async function insert(executor: Executor, id: string): Promise<void> {
  await executor.execute(`insert into entry values ('${id}')`)
}

async function modesOf(executor: Executor): Promise<unknown[]> {
  const modes = ['transaction_isolation', 'transaction_read_only', 'transaction_deferrable']
  const shown = modes.map((mode) => `current_setting('${mode}') as ${mode}`)
  return Object.values((await executor.execute(`select ${shown.join(', ')}`)).rows[0] as object)
}

/** A function that records its attempts, and fails the first `times` of them with a conflict. */
function failing(times: number): { fn(tx: Executor, info: AttemptInfo): Promise<string>; readonly attempts: number[] } {
  const attempts: number[] = []
  return {
    attempts,
    async fn(tx, { attempt }) {
      attempts.push(attempt)
      if (attempts.length <= times) await tx.execute(CONFLICT)
      return 'done'
    },
  }
}

/** Waits until the server runs a statement that contains these words. */
function untilRunning(cluster: Cluster, applicationName: string, words: string): Promise<unknown> {
  return until(async () => {
    const sessions = await cluster.sessions({ applicationName, state: 'active' })
    return sessions.some(({ query }) => query.includes(words))
  })
}

describe.each(EDITIONS)('db.transaction on $edition', ({ drizzle, Pool, edition }) => {
  function open(options: PoolOptions, retry?: boolean | typeof AGAIN): ReturnType<typeof drizzle> {
    const connection = { closeTimeoutMillis: 500, connectionTimeoutMillis: 15_000, ...options }
    return drizzle({ connection, ...(retry !== undefined && { retry }) })
  }

  describe('as in Drizzle', () => {
    test('db.transaction commits, and resolves with the result of its function', async ({ cluster, direct }) => {
      const db = open(direct)
      await using pool = db.$client
      const id = `committed, ${edition}`
      expect(await db.transaction(async (tx) => insert(tx, id).then(() => 42))).toBe(42)
      expect(await written(cluster, id)).toEqual([id])
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test("db.transaction passes Drizzle's own options on, and no others", async ({ direct }) => {
      const db = open(direct, AGAIN)
      await using _pool = db.$client
      expect(await db.transaction(modesOf)).toEqual(['read committed', 'off', 'off'])
      expect(await db.transaction(modesOf, { retry: true })).toEqual(['read committed', 'off', 'off'])
      const modes = { isolationLevel: 'serializable', accessMode: 'read only', deferrable: true } as const
      expect(await db.transaction(modesOf, modes)).toEqual(['serializable', 'on', 'on'])
      expect(await db.transaction(modesOf, { ...modes, retry: AGAIN })).toEqual(['serializable', 'on', 'on'])
    })

    test("db.transaction rejects with the function's error on a dead connection, too", async ({ cluster, direct }) => {
      const db = open({ ...direct, max: 1 })
      await using pool = db.$client
      const id = `own error, ${edition}`
      class NotEnoughMoney extends Error {}
      for (const isKilled of [false, true]) {
        const error = await rejection(
          db.transaction(async (tx) => {
            await insert(tx, id)
            if (isKilled) await kill(cluster, await pidOf(tx))
            throw new NotEnoughMoney()
          }),
        )
        expect(error).toBeInstanceOf(NotEnoughMoney)
      }
      expect(await written(cluster, id)).toEqual([])
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test("db.transaction leaves the options of the session's own transaction() working", async ({ direct }) => {
      const db = open(direct)
      await using _pool = db.$client
      expect(await db._.session.transaction(modesOf, { accessMode: 'read only' })).toEqual([
        'read committed',
        'on',
        'off',
      ])
    })
  })

  describe('retry', () => {
    test('retry is off by default in db.transaction', async ({ direct }) => {
      const db = open(direct)
      await using _pool = db.$client
      const { fn, attempts } = failing(1)
      expect(await rejection(db.transaction(fn))).toMatchObject({ cause: { code: '40001' } })
      expect(attempts).toEqual([1])
    })

    test('retry runs the whole transaction again, and passes the number of the attempt', async ({ direct }) => {
      const db = open(direct)
      await using _pool = db.$client
      const { fn, attempts } = failing(2)
      expect(await db.transaction(fn, { retry: AGAIN })).toBe('done')
      expect(attempts).toEqual([1, 2, 3])
    })

    test('the retry given to drizzle() holds for every transaction that does not say otherwise', async ({ direct }) => {
      const db = open(direct, AGAIN)
      await using _pool = db.$client
      const [once, refusing, absent] = [failing(1), failing(1), failing(1)]
      expect(await db.transaction(once.fn)).toBe('done')
      expect(await db.transaction(absent.fn, { retry: undefined })).toBe('done')
      await rejection(db.transaction(refusing.fn, { retry: false }))
      expect([once.attempts, absent.attempts, refusing.attempts]).toEqual([[1, 2], [1, 2], [1]])
    })

    test('retry rejects with the last error after its last attempt', async ({ cluster, direct }) => {
      const db = open({ ...direct, max: 1 })
      await using pool = db.$client
      const { fn, attempts } = failing(9)
      const error = await rejection(db.transaction(fn, { retry: AGAIN }))
      expect(error).toMatchObject({ cause: { code: '40001' } })
      expect(attempts).toEqual([1, 2, 3, 4])
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test('retry does not run a transaction again that fails for another reason', async ({ direct }) => {
      const db = open(direct, AGAIN)
      await using _pool = db.$client
      let calls = 0
      const error = await rejection(
        db.transaction(async (tx) => {
          calls++
          await tx.execute('select 1 / 0')
        }),
      )
      expect(error).toMatchObject({ cause: { code: '22012' } })
      expect(calls).toBe(1)
    })

    test('retry commits both of two serializable transactions that conflict', async ({ cluster, direct }) => {
      const db = open(direct)
      await using _pool = db.$client
      const prefix = `skew, ${edition}`
      const meet = meeting(2)
      const attempts: number[] = []
      const add = (id: string): Promise<void> =>
        db.transaction(
          async (tx, { attempt }) => {
            attempts.push(attempt)
            await tx.execute(`select count(*) from entry where id like '${prefix}%'`)
            await meet()
            await insert(tx, id)
          },
          { isolationLevel: 'serializable', retry: AGAIN },
        )
      await Promise.all([add(`${prefix} 1`), add(`${prefix} 2`)])
      expect(await written(cluster, `${prefix} 1`, `${prefix} 2`)).toHaveLength(2)
      expect(attempts.toSorted()).toEqual([1, 1, 2])
    })

    test('retry writes once when the connection is killed in the transaction', async ({ cluster, direct }) => {
      const db = open({ ...direct, max: 1 })
      await using pool = db.$client
      const id = `killed once, ${edition}`
      const pids: number[] = []
      await db.transaction(
        async (tx, { attempt }) => {
          const pid = await pidOf(tx)
          pids.push(pid)
          await insert(tx, id)
          if (attempt === 1) await kill(cluster, pid)
        },
        { retry: AGAIN },
      )
      expect(new Set(pids).size).toBe(2)
      expect(await written(cluster, id)).toEqual([id])
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test('retry does not run a transaction again that may have committed', async ({ cluster, proxy, proxied }) => {
      const db = open({ ...proxied, max: 1, lostCommit: 'report' })
      await using pool = db.$client
      const id = `acknowledgement lost, ${edition}`
      let calls = 0
      const error = await rejection(
        db.transaction(
          async (tx) => {
            calls++
            await insert(tx, id)
            // COMMIT reaches the server, and its answer is lost.
            proxy.swallow({ direction: 'to-client' })
            void until(async () => (await written(cluster, id)).length === 1).then(() => proxy.cut('rst'))
          },
          { retry: AGAIN },
        ),
      )
      expect(error).toMatchObject({ cause: { name: 'ConnectionLostError', phase: 'commit', commitOutcome: 'unknown' } })
      expect(calls).toBe(1)
      expect(await written(cluster, id)).toEqual([id])
      await proxy.heal()
      await expectHealthy(pool, cluster, proxied.application_name)
    })
  })

  describe('a nested transaction', () => {
    test('a nested transaction is a savepoint, which is rolled back alone', async ({ cluster, direct }) => {
      const db = open({ ...direct, max: 1 })
      await using _pool = db.$client
      const [outer, inner] = [`outer, ${edition}`, `inner, ${edition}`]
      await db.transaction(async (tx) => {
        await insert(tx, outer)
        await rejection(
          tx.transaction(async (nested) => {
            await insert(nested, inner)
            throw new Error('undo this')
          }),
        )
      })
      expect(await written(cluster, outer, inner)).toEqual([outer])
    })

    test('a nested transaction is retried only with the whole transaction', async ({ direct }) => {
      const db = open(direct)
      await using _pool = db.$client
      const inner: number[] = []
      const attempts: number[] = []
      const { fn } = failing(1)
      await db.transaction(
        async (tx, info) => {
          attempts.push(info.attempt)
          await tx.transaction((nested) => {
            inner.push(info.attempt)
            return fn(nested, info)
          })
        },
        { retry: AGAIN },
      )
      expect([attempts, inner]).toEqual([
        [1, 2],
        [1, 2],
      ])
    })
  })

  describe('a signal', () => {
    test('a signal cancels the statement of db.transaction, and rolls back', async ({ cluster, direct }) => {
      const db = open({ ...direct, max: 1 })
      await using pool = db.$client
      const controller = new AbortController()
      const id = `aborted, ${edition}`
      const error = rejection(
        db.transaction(
          async (tx) => {
            await insert(tx, id)
            await tx.execute("select pg_sleep('infinity')")
          },
          { signal: controller.signal, retry: AGAIN },
        ),
      )
      await untilRunning(cluster, direct.application_name, 'infinity')
      controller.abort(new Error('the user has left'))
      expect(await error).toBe(controller.signal.reason)
      expect(await written(cluster, id)).toEqual([])
      await expectHealthy(pool, cluster, direct.application_name)
    })

    test('a signal removes a db.transaction from the queue while it waits for a connection', async ({ direct }) => {
      const db = open({ ...direct, max: 1 })
      await using pool = db.$client
      await using _holder = await pool.connect()
      const controller = new AbortController()
      const error = rejection(db.transaction(modesOf, { signal: controller.signal }))
      await until(() => pool.waitingCount === 1)
      controller.abort()
      expect(await error).toBe(controller.signal.reason)
      expect(pool.waitingCount).toBe(0)
    })
  })

  // Drizzle 0.45 never releases the connection of such a transaction.
  test("db.transaction releases the connection when BEGIN is refused, for the session's own transaction() as well", async ({
    cluster,
    direct,
  }) => {
    const db = open({ ...direct, max: 1 })
    await using pool = db.$client
    const refused = { isolationLevel: 'nonsense' as never }
    for (const transaction of [db.transaction(modesOf, refused), db._.session.transaction(modesOf, refused)])
      expect(await rejection(transaction)).toMatchObject({ cause: { code: '42601' } })
    await expectHealthy(pool, cluster, direct.application_name)
  })

  describe('on a single client', () => {
    test('db.transaction on a single client runs again after the server rolled it back', async ({ direct }) => {
      await using pool = new Pool({ ...direct, max: 1 })
      await using client = await pool.connect()
      const { fn, attempts } = failing(1)
      expect(await drizzle({ client, retry: AGAIN }).transaction(fn)).toBe('done')
      expect(attempts).toEqual([1, 2])
    })

    test('db.transaction on a single client does not run again after a loss', async ({ cluster, direct }) => {
      await using pool = new Pool({ ...direct, max: 1 })
      await using client = await pool.connect()
      let calls = 0
      const error = await rejection(
        drizzle({ client }).transaction(
          async (tx) => {
            calls++
            await kill(cluster, await pidOf(tx))
            await tx.execute('select 1')
          },
          { retry: AGAIN },
        ),
      )
      expect(error).toMatchObject({ cause: { name: 'ConnectionLostError', code: '57P01', commitOutcome: 'aborted' } })
      expect(calls).toBe(1)
    })
  })

  test('db.transaction refuses wrong options, and names all of them', async ({ direct }) => {
    const db = open(direct)
    await using pool = db.$client
    const bad = { isolationLevl: 'serializable', retry: { retrys: 3 }, signal: 1 } as object
    expect(await rejection(db.transaction(modesOf, bad))).toMatchObject({
      code: 'HOLDFAST_INVALID_OPTION',
      problems: [
        expect.stringContaining('`transaction.isolationLevl` is not an option'),
        expect.stringContaining('`transaction.signal` must be an AbortSignal'),
        expect.stringContaining('`transaction.retry.retrys` is not an option'),
      ],
    })
    expect(pool.totalCount).toBe(0)
  })
})
