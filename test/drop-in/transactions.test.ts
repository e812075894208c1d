import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'
import { documentedTransaction } from '../support/documented-transaction.ts'
import { LIBRARIES } from './support/libraries.ts'

describe.each(LIBRARIES)('$library: a transaction', ({ library, open }) => {
  test('a transaction is committed as a whole', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const ids = [`${library} a`, `${library} b`]
    const insert = 'insert into entry values ($1)'
    await documentedTransaction(pool, [insert, [ids[0]]], [insert, [ids[1]]])
    expect(await cluster.query('select id from entry where id = any ($1) order by id', [ids])).toEqual(
      ids.map((id) => ({ id })),
    )
  })

  test('a transaction that fails is rolled back as a whole, and its error surfaces', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const id = `${library} failing`
    const failed = documentedTransaction(pool, ['insert into entry values ($1)', [id]], ['select nonsense'])
    expect(await rejection(failed)).toMatchObject({ code: '42703' })
    expect(await cluster.query('select from entry where id = $1', [id])).toEqual([])
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.totalCount).toBe(1)
  })

  test('a transaction may have savepoints', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const id = `${library} savepoint`
    const client = await pool.connect()
    await client.query('begin')
    await client.query('savepoint here')
    await rejection(client.query('select nonsense'))
    await client.query('rollback to savepoint here')
    await client.query('insert into entry values ($1)', [id])
    await client.query('commit')
    client.release()
    expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
  })

  test('a transaction may be several statements of one text', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1 })
    const id = `${library} text`
    await pool.query(`begin; insert into entry values ('${id}'); commit`)
    expect(await cluster.query('select id from entry where id = $1', [id])).toEqual([{ id }])
  })
})
