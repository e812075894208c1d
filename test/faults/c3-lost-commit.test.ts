import { describe, expect } from 'vitest'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

describe('COMMIT was carried out, its answer lost', () => {
  test('Holdfast: success', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, commitTimeoutMillis: 300 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into entry values ('c3')")
    await client.query('select 1') // By its answer that of the probe has come.
    proxy.swallow({ direction: 'to-client', connections: 'existing' })
    const result = await settles(client.query('commit'), 'COMMIT')
    expect(result.command).toBe('COMMIT')
    client.release()
    expect(await cluster.query("select from entry where id = 'c3'")).toHaveLength(1)
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: swallowed on the way there: fenced, and rolled back', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, commitTimeoutMillis: 300 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into entry values ('c4')")
    proxy.swallow({ connections: 'existing' })
    const error = await rejection(client.query('commit'))
    expect(error).toMatchObject({ name: 'ConnectionLostError', commitOutcome: 'aborted' })
    client.release()
    expect(await cluster.query("select from entry where id = 'c4'")).toHaveLength(0)
    await expectHealthy(pool, cluster, proxied.application_name)
  })

  test('Holdfast: run again', async ({ cluster, proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, commitTimeoutMillis: 300 })
    const attempts = await pool.transaction(async (tx) => {
      await tx.query("insert into entry values ('c4-again')")
      if (tx.attempt === 1) proxy.swallow({ connections: 'existing' })
      return tx.attempt
    })
    expect(attempts).toBe(2)
    expect(await cluster.query("select from entry where id = 'c4-again'")).toHaveLength(1)
  })

  test('Holdfast: nothing written', async ({ proxy, proxied }) => {
    await using pool = holdfast({ ...proxied, commitTimeoutMillis: 300 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query('select 1')
    proxy.swallow({ connections: 'existing' })
    const error = await rejection(client.query('commit'))
    expect(error).toMatchObject({ name: 'ConnectionLostError', commitOutcome: 'aborted' })
    client.release()
  })
})
