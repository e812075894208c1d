import type { Pool, Transaction } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { deferred } from '../support/deferred.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { rejection } from './support/settling.ts'

const ACCOUNTS = `create table if not exists account (id int primary key, balance int not null);
  insert into account values (1, 100), (2, 100) on conflict (id) do update set balance = 100`

async function balances(client: pg.ClientBase | Pool): Promise<number[]> {
  const { rows } = await (client as Pool).query<{ balance: number }>('select balance from account order by id')
  return rows.map(({ balance }) => balance)
}

/** Waits until so many callers have arrived, then lets them go on. Later callers pass at once. */
function meeting(count: number): () => Promise<void> {
  const everybody = deferred<void>()
  let here = 0
  return () => {
    if (++here === count) everybody.resolve()
    return everybody.promise
  }
}

describe('two transactions that read what the other writes (40001)', () => {
  /** Each takes everything that both accounts have from its own; one after the other only one could. */
  async function withdraw(query: pg.ClientBase['query'], id: number, meet: () => Promise<void>): Promise<void> {
    const { rows } = await query<{ total: number }>('select sum(balance)::int as total from account')
    await meet()
    if ((rows[0]?.total ?? 0) >= 200) await query('update account set balance = balance - 200 where id = $1', [id])
  }

  test('stock pg.Pool: one of two conflicting transactions (40001) fails', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) => admin.query(ACCOUNTS))
    await cluster.withAdmin((admin) => admin.query('grant all on account to app'))
    await using pool = new StockPool(direct)
    const meet = meeting(2)
    const run = async (id: number): Promise<void> => {
      const client = await pool.connect()
      try {
        await client.query('begin isolation level serializable')
        await withdraw(client.query.bind(client) as pg.ClientBase['query'], id, meet)
        await client.query('commit')
      } finally {
        client.release()
      }
    }
    const ends = await Promise.allSettled([run(1), run(2)])
    expect(ends.filter(({ status }) => status === 'rejected')).toMatchObject([{ reason: { code: '40001' } }])
  })

  test('Holdfast: two conflicting transactions (40001) succeed one after the other', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) => admin.query(ACCOUNTS))
    await cluster.withAdmin((admin) => admin.query('grant all on account to app'))
    await using pool = holdfast(direct)
    const meet = meeting(2)
    const attempts: number[] = []
    const run = (id: number): Promise<void> =>
      pool.transaction(
        async (tx) => {
          attempts.push(tx.attempt)
          await withdraw(tx.query, id, meet)
        },
        { isolationLevel: 'serializable' },
      )
    await Promise.all([run(1), run(2)])
    expect(attempts.toSorted()).toEqual([1, 1, 2])
    expect((await balances(pool)).toSorted((a, b) => a - b)).toEqual([-100, 100])
    await expectHealthy(pool, cluster, direct.application_name)
  })
})

describe('a deadlock (40P01)', () => {
  const bothWays = (meet: () => Promise<void>, first: number, second: number) => async (tx: Transaction) => {
    await tx.query('update account set balance = balance + 1 where id = $1', [first])
    await meet()
    await tx.query('update account set balance = balance + 1 where id = $1', [second])
    return tx.attempt
  }

  test('Holdfast: the transaction that was chosen in a deadlock (40P01) runs again', async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) => admin.query(ACCOUNTS))
    await cluster.withAdmin((admin) => admin.query('grant all on account to app'))
    await using pool = holdfast(direct)
    const meet = meeting(2)
    const ends = await Promise.all([pool.transaction(bothWays(meet, 1, 2)), pool.transaction(bothWays(meet, 2, 1))])
    // Its second attempt may meet the other again, before that has got what it waits for.
    expect(ends.toSorted((a, b) => a - b)).toEqual([1, expect.toSatisfy((attempt: number) => attempt > 1)])
    expect(await balances(pool)).toEqual([102, 102])
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test("Holdfast: a deadlock rejects with the server's error without a retry", async ({ cluster, direct }) => {
    await cluster.withAdmin((admin) => admin.query(ACCOUNTS))
    await cluster.withAdmin((admin) => admin.query('grant all on account to app'))
    await using pool = holdfast(direct)
    const meet = meeting(2)
    const once = { retry: false }
    const ends = [pool.transaction(bothWays(meet, 1, 2), once), pool.transaction(bothWays(meet, 2, 1), once)]
    const error = await rejection(Promise.all(ends))
    await Promise.allSettled(ends)
    expect(error.code).toBe('40P01')
    expect(await balances(pool)).toEqual([101, 101])
  })
})
