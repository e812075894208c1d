import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast, StockPool } from '../faults/support/pools.ts'

/** Statements for which the server takes no snapshot. */
const WITHOUT_SNAPSHOT = ['listen news', 'unlisten news', '', '-- nothing']

describe.for([
  ['stock pg.Pool', (options: object) => new StockPool(options)],
  ['Holdfast', (options: object) => holdfast(options)],
] as const)('in a transaction of %s', ([, open]) => {
  test.for(WITHOUT_SNAPSHOT)('SET TRANSACTION may follow "%s"', async (text, { direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query(text)
    await client.query('set transaction isolation level serializable')
    await client.query('rollback')
    client.release()
  })

  test.for(WITHOUT_SNAPSHOT)('a transaction sees what others commit after "%s"', async (text, { cluster, direct }) => {
    await cluster.withAdmin((admin) =>
      admin.query('drop table if exists seen; create table seen (id int); grant all on seen to app'),
    )
    await using pool = open({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query('begin isolation level repeatable read')
    await client.query(text)
    await cluster.withAdmin((admin) => admin.query('insert into seen values (1)'))
    expect((await client.query('select * from seen')).rows).toEqual([{ id: 1 }])
    await client.query('rollback')
    client.release()
  })
})
