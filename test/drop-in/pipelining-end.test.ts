import type pg from 'pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { settles } from '../faults/support/settling.ts'
import { LIBRARIES } from './support/libraries.ts'

/** https://node-postgres.com/features/pipelining, "Graceful shutdown" */
describe.each(LIBRARIES)('$library: pipeline: true', ({ open }) => {
  test('a pipeline lets what was sent be answered when the holder ends the client', async ({ direct }) => {
    await using pool = open({ ...direct, pipeline: true, max: 1 })
    const client = (await pool.connect()) as unknown as pg.Client & pg.PoolClient
    const statements = [client.query('select 1 as num'), client.query('select 2 as num')]
    const ended = client.end()
    const results = await settles(Promise.all(statements), 'the statements')
    expect(results.map(({ rows }) => rows)).toEqual([[{ num: 1 }], [{ num: 2 }]])
    await settles(ended, 'end()')
    client.release()
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })
})
