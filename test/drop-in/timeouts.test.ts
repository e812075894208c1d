import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'
import { LIBRARIES } from './support/libraries.ts'
import { withClient } from './support/observing.ts'

/** The timeouts of https://node-postgres.com/apis/client */
describe.each(LIBRARIES)('$library: timeouts', ({ open }) => {
  test('the timeouts of the server are set when the session starts', async ({ direct }) => {
    await using pool = open({
      ...direct,
      statement_timeout: 12_345,
      lock_timeout: 2345,
      idle_in_transaction_session_timeout: 3456,
    })
    const { rows } = await pool.query(`select name, setting from pg_settings
      where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') order by name`)
    expect(rows).toEqual([
      { name: 'idle_in_transaction_session_timeout', setting: '3456' },
      { name: 'lock_timeout', setting: '2345' },
      { name: 'statement_timeout', setting: '12345' },
    ])
  })

  test('statement_timeout cancels a statement, and nothing else', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1, statement_timeout: 200 })
    await withClient(pool, async (client) => {
      expect(await rejection(client.query("select pg_sleep('infinity')"))).toMatchObject({ code: '57014' })
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })
    expect(await rejection(pool.query("select pg_sleep('infinity')"))).toMatchObject({ code: '57014' })
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })

  test('lock_timeout cancels a wait for a lock', async ({ direct }) => {
    await using pool = open({ ...direct, max: 2, lock_timeout: 200 })
    await withClient(pool, async (holder) => {
      await holder.query('begin; lock table entry')
      expect(await rejection(pool.query('select from entry'))).toMatchObject({ code: '55P03' })
      await holder.query('rollback')
    })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('idle_in_transaction_session_timeout ends a session that lingers', async ({ cluster, direct }) => {
    await using pool = open({ ...direct, max: 1, idle_in_transaction_session_timeout: 200 })
    const client = await pool.connect()
    await client.query('begin')
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
    expect(await rejection(client.query('select 1'))).toBeInstanceOf(Error)
    client.release()
    expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
  })

  test.for([{ where: 'pool' }, { where: 'statement' }])(
    "query_timeout of the $where rejects with the driver's own message",
    async ({ where }, { cluster, direct }) => {
      const limit = { query_timeout: 200 }
      await using pool = open({ ...direct, max: 1, ...(where === 'pool' ? limit : {}) })
      const config = { text: "select pg_sleep('infinity')", ...(where === 'statement' ? limit : {}) }
      expect((await rejection(pool.query(config))).message).toContain('Query read timeout')
      await cluster.terminateBackends({ applicationName: direct.application_name, state: 'active' })
      expect((await settles(pool.query('select 1 as one'), 'the next one')).rows).toEqual([{ one: 1 }])
    },
  )

  test('query_timeout leaves alone what is quicker', async ({ direct }) => {
    await using pool = open({ ...direct, max: 1, query_timeout: 10_000 })
    const own: object = { query_timeout: 5000 }
    const pids = new Set<number>()
    for (let time = 1; time <= 3; time++)
      pids.add((await pool.query({ text: 'select pg_backend_pid() as pid', ...own })).rows[0].pid)
    expect(pids.size).toBe(1)
  })
})
