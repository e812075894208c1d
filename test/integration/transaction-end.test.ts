import { pipeline } from 'node:stream/promises'
import type { Transaction } from '@holdfast/core'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { expectHealthy } from '../faults/support/health.ts'
import { backendPid, holdfast } from '../faults/support/pools.ts'
import { rejection, settles, unattended } from '../faults/support/settling.ts'
import type { Cluster } from '../support/index.ts'

class NotEnoughMoney extends Error {}

const MANY = 'select generate_series(1, 1000) as n'
const ENDED = {
  name: 'TransactionStateError',
  code: 'HOLDFAST_TRANSACTION_STATE',
  message: expect.stringContaining('has ended'),
}
const HELD_OPEN = { name: 'TransactionStateError', message: expect.stringContaining('cursor or stream') }
const NOT_FOR_YOU = { name: 'HoldfastError', code: '2D000' }

async function isWritten(cluster: Cluster, id: string): Promise<boolean> {
  return (await cluster.query('select from entry where id = $1', [id])).length === 1
}

async function insert(tx: Transaction, id: string): Promise<void> {
  await tx.query('insert into entry values ($1)', [id])
}

describe('a function that runs on after its transaction', () => {
  for (const ending of ['committed', 'rolled back'] as const) {
    test(`a function that outlives its transaction touches no session (${ending})`, async ({ cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      let zombie: Transaction | undefined
      const transaction = pool.transaction((tx) => {
        zombie = tx
        if (ending === 'rolled back') throw new NotEnoughMoney()
      })
      await unattended(transaction).catch(() => {})
      const tx = zombie as unknown as Transaction

      // The same connection, by now leased to another caller.
      const client = await pool.connect()
      await client.query('begin')
      expect(await rejection(insert(tx, `zombie, ${ending}`))).toMatchObject(ENDED)
      expect(await rejection(tx.query('rollback'))).toMatchObject(ENDED)
      expect(await rejection(tx.savepoint(() => {}))).toMatchObject(ENDED)
      await client.query('insert into entry values ($1)', [`next, ${ending}`])
      await client.query('commit')
      client.release()

      expect(await isWritten(cluster, `zombie, ${ending}`)).toBe(false)
      expect(await isWritten(cluster, `next, ${ending}`)).toBe(true)
      await expectHealthy(pool, cluster, direct.application_name)
    })
  }

  test('a function that runs on after its transaction gets the answer in the form of its call', async ({ direct }) => {
    await using pool = holdfast(direct)
    const tx = await pool.transaction((each) => ({ each })).then(({ each }) => each)
    const called = new Promise((resolve) => {
      expect(tx.query('select 1', (...args) => resolve(args))).toBeUndefined()
    })
    expect(await settles(called, 'the callback')).toEqual([expect.objectContaining(ENDED)])
    const cursor = tx.query(new Cursor(MANY))
    expect(await rejection(cursor.read(1))).toMatchObject(ENDED)
    const stream = tx.query(new QueryStream(MANY))
    expect(await rejection(stream.toArray())).toMatchObject(ENDED)
  })
})

describe('a cursor or stream', () => {
  test('a cursor or stream is read in the transaction', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const pid = await backendPid(pool)
    const counts = await pool.transaction(async (tx) => {
      const cursor = tx.query(new Cursor(MANY))
      const rows = await cursor.read(10)
      await cursor.close()
      const all = await tx.query(new QueryStream(MANY)).toArray()
      const csv = await tx.query(copyTo(`copy (${MANY}) to stdout`)).toArray()
      for await (const row of tx.query(new QueryStream(MANY))) if (row.n === 5) break
      await insert(tx, 'behind the streams')
      return [rows.length, all.length, Buffer.concat(csv).toString().trim().split('\n').length]
    })
    expect(counts).toEqual([10, 1000, 1000])
    expect(await isWritten(cluster, 'behind the streams')).toBe(true)
    expect(await backendPid(pool)).toBe(pid)
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('a cursor or stream that is being closed, or has ended, does not matter', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    for (const [index, close] of [
      async (tx: Transaction) => {
        const cursor = tx.query(new Cursor(MANY))
        await cursor.read(10)
        void cursor.close()
      },
      async (tx: Transaction) => {
        const stream = tx.query(new QueryStream(MANY, [], { batchSize: 10 }))
        for await (const _row of stream.iterator({ destroyOnReturn: false })) break
        stream.destroy()
      },
      async (tx: Transaction) => {
        await tx.query(copyTo(`copy (${MANY}) to stdout`)).toArray()
      },
      async (tx: Transaction) => {
        await tx.query('create temporary table copied (n int)')
        await pipeline(['1\n', '2\n'], tx.query(copyFrom('copy copied from stdin')))
      },
    ].entries()) {
      await pool.transaction(async (tx) => {
        await insert(tx, `closing ${index}`)
        await close(tx)
      })
      expect(await isWritten(cluster, `closing ${index}`)).toBe(true)
    }
    await expectHealthy(pool, cluster, direct.application_name)
  })

  const LEFT_OPEN = [
    {
      what: 'cursor',
      leave: async (tx: Transaction): Promise<void> => {
        await tx.query(new Cursor(MANY)).read(10)
      },
    },
    {
      what: 'stream',
      leave: async (tx: Transaction): Promise<void> => {
        const stream = tx.query(new QueryStream(MANY, [], { batchSize: 10 }))
        stream.on('error', () => {}) // Its connection is going to be closed.
        for await (const _row of stream.iterator({ destroyOnReturn: false })) break
      },
    },
  ]

  test.for(LEFT_OPEN)(
    'a cursor or stream left open ($what) has nothing committed',
    async ({ what, leave }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const transaction = pool.transaction(async (tx) => {
        await insert(tx, `left open, ${what}`)
        await leave(tx)
      })
      expect(await rejection(transaction)).toMatchObject(HELD_OPEN)
      expect(await isWritten(cluster, `left open, ${what}`)).toBe(false)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test.for(LEFT_OPEN)(
    "a cursor or stream left open ($what) when the function fails does not delay the function's own error",
    async ({ leave }, { cluster, direct }) => {
      // So long that waiting for ROLLBACK would fail the test.
      await using pool = holdfast({ ...direct, max: 1, closeTimeoutMillis: 3_600_000 })
      const transaction = pool.transaction(async (tx) => {
        await leave(tx)
        throw new NotEnoughMoney()
      })
      expect(await rejection(transaction)).toBeInstanceOf(NotEnoughMoney)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test.for(LEFT_OPEN)(
    'a cursor or stream left open ($what) in a savepoint spoils the transaction',
    async ({ what, leave }, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const transaction = pool.transaction(async (tx) => {
        await insert(tx, `spoilt, ${what}`)
        expect(await rejection(tx.savepoint(leave))).toMatchObject(HELD_OPEN)
        expect(await rejection(tx.query('select 1'))).toMatchObject(HELD_OPEN)
      })
      expect(await rejection(transaction)).toMatchObject(HELD_OPEN)
      expect(await isWritten(cluster, `spoilt, ${what}`)).toBe(false)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )
})

describe('a function that ends its transaction by itself', () => {
  test.for(['COMMIT', 'end;', 'rollback', 'begin', '/* by hand */ commit', 'abort', 'start transaction'])(
    'a function that ends its transaction by itself is refused: %s',
    async (text, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const transaction = pool.transaction(async (tx) => {
        await insert(tx, text)
        await tx.query(text)
      })
      expect(await rejection(transaction)).toMatchObject(NOT_FOR_YOU)
      expect(await isWritten(cluster, text)).toBe(false)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('a function that ends its transaction by itself is refused before a byte', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction(async (tx) => {
      await insert(tx, 'refused and swallowed')
      expect(await rejection(tx.query('rollback'))).toMatchObject(NOT_FOR_YOU)
    })
    expect(await isWritten(cluster, 'refused and swallowed')).toBe(true)
  })

  test.for(['select 1; commit', 'select 1; rollback', '/* /* nested */ */ commit'])(
    'a function that hides that it ends its transaction is found out: %s',
    async (text, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const transaction = pool.transaction(async (tx) => {
        await tx.query(text)
        expect(await rejection(insert(tx, `outside of any transaction: ${text}`))).toMatchObject(NOT_FOR_YOU)
      })
      expect(await rejection(transaction)).toMatchObject(NOT_FOR_YOU)
      expect(await isWritten(cluster, `outside of any transaction: ${text}`)).toBe(false)
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test('a function may use savepoints of its own in its transaction', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    await pool.transaction(async (tx) => {
      await tx.query('savepoint mine')
      await rejection(tx.query('select 1 / 0'))
      await tx.query('rollback to mine')
      await insert(tx, 'behind my savepoint')
      await tx.query('release mine')
    })
    expect(await isWritten(cluster, 'behind my savepoint')).toBe(true)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
