import type { Transaction } from '@holdfast/core'
import { describe, expect, expectTypeOf } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import { deferred } from '../support/deferred.ts'
import type { Cluster } from '../support/index.ts'

class NotEnoughMoney extends Error {}

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

async function insert(tx: Transaction, id: string): Promise<void> {
  await tx.query('insert into entry values ($1)', [id])
}

/** Writes an entry, then refuses. */
function refused(id: string): (tx: Transaction) => Promise<never> {
  return async (tx) => {
    await insert(tx, id)
    throw new NotEnoughMoney()
  }
}

const ENDED = { name: 'TransactionStateError', message: expect.stringContaining('has ended') }
const NESTED = {
  name: 'TransactionStateError',
  message: expect.stringContaining('A savepoint of this transaction is open'),
}

describe('a savepoint', () => {
  test('a savepoint resolves with its result, and is committed with the rest', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const result = await pool.transaction(async (tx) => {
      const inner = await tx.savepoint(async (sp) => {
        await insert(sp, 'in a savepoint')
        return sp.attempt
      })
      expectTypeOf(inner).toEqualTypeOf<number>()
      await insert(tx, 'behind a savepoint')
      return inner
    })
    expect(result).toBe(1)
    for (const id of ['in a savepoint', 'behind a savepoint']) expect(await isWritten(cluster, id)).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a savepoint is undone when its function fails, and the rest goes on', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction(async (tx) => {
      await insert(tx, 'kept before')
      expect(await rejection(tx.savepoint(refused('undone')))).toBeInstanceOf(NotEnoughMoney)
      expect(await rejection(tx.savepoint((sp) => sp.query('select 1 / 0')))).toMatchObject({ code: '22012' })
      await insert(tx, 'kept behind')
    })
    expect(await isWritten(cluster, 'undone')).toBe(false)
    for (const id of ['kept before', 'kept behind']) expect(await isWritten(cluster, id)).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("a savepoint whose error isn't caught fails the transaction with it", async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const transaction = pool.transaction(async (tx) => {
      await insert(tx, 'outside')
      await tx.savepoint(refused('inside'))
    })
    expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
    for (const id of ['outside', 'inside']) expect(await isWritten(cluster, id)).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('savepoints nest: each level is undone for itself', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction((tx) =>
      tx.savepoint(async (first) => {
        await insert(first, 'level 1')
        await rejection(
          first.savepoint(async (second) => {
            await insert(second, 'level 2')
            await second.savepoint((third) => insert(third, 'level 3'))
            throw new NotEnoughMoney()
          }),
        )
        await first.savepoint((again) => insert(again, 'level 2, again'))
      }),
    )
    for (const id of ['level 1', 'level 2, again']) expect(await isWritten(cluster, id)).toBe(true)
    for (const id of ['level 2', 'level 3']) expect(await isWritten(cluster, id)).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a savepoint leaves none behind at the server, whatever became of it', async ({ direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction(async (tx) => {
      await tx.savepoint(() => {})
      await rejection(tx.savepoint(() => Promise.reject(new NotEnoughMoney())))
      for (const name of ['holdfast_1', 'holdfast_2']) {
        await tx.query('savepoint probe')
        expect(await rejection(tx.query(`release savepoint ${name}`))).toMatchObject({ code: '3B001' })
        await tx.query('rollback to savepoint probe')
      }
    })
  })

  test('a savepoint with a swallowed error is undone, and rejects with it', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction(async (tx) => {
      const error = await rejection(
        tx.savepoint(async (sp) => {
          await insert(sp, 'swallowed')
          await rejection(sp.query('select 1 / 0'))
        }),
      )
      expect(error).toMatchObject({ code: '25P02', cause: { code: '22012' } })
      await insert(tx, 'behind what was swallowed')
    })
    expect(await isWritten(cluster, 'swallowed')).toBe(false)
    expect(await isWritten(cluster, 'behind what was swallowed')).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a savepoint keeps statements that its function did not wait for within it', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction(async (tx) => {
      const error = await rejection(
        tx.savepoint((sp) => {
          void insert(sp, 'unawaited in a savepoint')
          throw new NotEnoughMoney()
        }),
      )
      expect(error).toBeInstanceOf(NotEnoughMoney)
    })
    expect(await isWritten(cluster, 'unawaited in a savepoint')).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a savepoint on a connection that is killed rejects with its own error', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const transaction = pool.transaction((tx) =>
      tx.savepoint(async (sp) => {
        await cluster.terminateBackends({ applicationName: direct.application_name })
        await rejection(sp.query('select pg_sleep(10)'))
        throw new NotEnoughMoney()
      }),
    )
    expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a savepoint of a failed transaction is refused by the server with the reason', async ({ direct }) => {
    await using pool = holdfast(direct)
    const transaction = pool.transaction(async (tx) => {
      await rejection(tx.query('select 1 / 0'))
      await tx.savepoint(() => {})
    })
    expect(await rejection(transaction)).toMatchObject({ code: '25P02', cause: { code: '22012' } })
  })

  test('a savepoint needs a function', async ({ direct }) => {
    await using pool = holdfast(direct)
    const error = await rejection(pool.transaction((tx) => tx.savepoint('name' as never)))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toContain('tx.savepoint(fn): `fn` must be a function')
  })
})

describe('while a savepoint is open', () => {
  test('while a savepoint is open, the transaction around it is refused', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction((tx) =>
      tx.savepoint(async (sp) => {
        expect(await rejection(tx.query('select 1'))).toMatchObject(NESTED)
        expect(await rejection(tx.savepoint(() => {}))).toMatchObject(NESTED)
        await insert(sp, 'only inside')
      }),
    )
    expect(await isWritten(cluster, 'only inside')).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('while a savepoint is open, a second one beside it is refused', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const transaction = pool.transaction((tx) =>
      Promise.all([unattended(tx.savepoint((sp) => insert(sp, 'side 1'))), tx.savepoint((sp) => insert(sp, 'side 2'))]),
    )
    expect(await rejection(transaction)).toMatchObject(NESTED)
    for (const id of ['side 1', 'side 2']) expect(await isWritten(cluster, id)).toBe(false)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test.for(['resolves', 'fails'] as const)(
    "a transaction can't be committed while a savepoint is open; one that %s later touches no other session",
    async (how, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const outcome = deferred<unknown>()
      const gate = deferred()
      const transaction = pool.transaction(async (tx) => {
        const began = deferred()
        const savepoint = tx.savepoint(async (sp) => {
          await insert(sp, `first half, ${how}`)
          began.resolve()
          await gate.promise
          if (how === 'fails') await insert(sp, `second half, ${how}`)
        })
        outcome.resolve(rejection(savepoint))
        await began.promise
      })
      expect(await rejection(transaction)).toMatchObject({
        name: 'TransactionStateError',
        message: expect.stringContaining('await it'),
      })

      // The same connection, by now leased to another caller.
      const client = await pool.connect()
      await client.query('begin')
      gate.resolve()
      expect(await settles(outcome.promise, 'the savepoint')).toMatchObject(ENDED)
      await client.query('insert into entry values ($1)', [`next, ${how}`])
      await client.query('commit')
      client.release()
      expect(await isWritten(cluster, `next, ${how}`)).toBe(true)
      for (const half of ['first', 'second']) expect(await isWritten(cluster, `${half} half, ${how}`)).toBe(false)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )
})

test('a savepoint that has ended is refused, though its transaction goes on', async ({ cluster, direct }) => {
  await using pool = holdfast({ ...direct, max: 1 })
  await pool.transaction(async (tx) => {
    const ended = await tx.savepoint((sp) => ({ sp }))
    expect(await rejection(ended.sp.query('select 1'))).toMatchObject(ENDED)
    expect(await rejection(ended.sp.savepoint(() => {}))).toMatchObject(ENDED)
    await insert(tx, 'went on')
  })
  expect(await isWritten(cluster, 'went on')).toBe(true)
  await expectHealthy(pool, cluster, direct.application_name)
})
