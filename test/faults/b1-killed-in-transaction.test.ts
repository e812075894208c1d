import { ConnectionLostError, isDisconnect, isRetryable } from '@holdfast/core'
import type pg from 'pg'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { Application } from './support/application.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { backendPid, holdfast, StockPool } from './support/pools.ts'
import { rejection } from './support/settling.ts'

/** Ends a session and waits until it's gone. */
async function kill(cluster: Cluster, pid: number): Promise<void> {
  await cluster.terminateBackends({ pid })
  await until(async () => (await cluster.countSessions({ pid })) === 0)
}

/** Until the client has got the error. */
function heard(client: pg.PoolClient): Promise<unknown> {
  return until(() => client.connection.stream.destroyed, { what: 'the client to hear of its end' })
}

describe('killed between two statements of a transaction', () => {
  test('stock pg.Pool: a kill in a transaction ends the process, whatever listens', async ({ cluster, direct }) => {
    await using application = await Application.start('stock', direct)
    await application.listen()
    await application.connect()
    await application.clientQuery('begin')
    await cluster.terminateBackends({ applicationName: direct.application_name })
    expect(await application.ends()).toMatchObject({ code: 1, stderr: expect.stringContaining("code: '57P01'") })
  })

  test("stock pg.Pool: after a kill in a transaction, the next statement's error hides the cause", async ({
    cluster,
    direct,
  }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    await kill(cluster, await backendPid(client))
    await heard(client)
    const error = await rejection(client.query('select 1'))
    expect(error.code).toBeUndefined()
    client.release()
  })

  test('Holdfast: the process survives a kill in a transaction without a listener', async ({ cluster, direct }) => {
    await using application = await Application.start('holdfast', { ...direct, max: 1 })
    await application.connect()
    await application.clientQuery('begin')
    await cluster.terminateBackends({ applicationName: direct.application_name })
    await until(async () => (await cluster.countSessions({ applicationName: direct.application_name })) === 0)
    // Its slot is free, although it was not released.
    expect(await application.query('select 1 as one')).toEqual([{ one: 1 }])
    const error = await rejection(application.clientQuery('select 1'))
    expect(error).toMatchObject({ name: 'ConnectionLostError', code: '57P01', phase: 'transaction' })
    await application.release()
    await application.end()
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test('Holdfast: after a kill every later statement rejects with the first cause', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into entry values ('lost')")
    await kill(cluster, await backendPid(client))
    await heard(client)

    for (const text of ['select 1', 'commit']) {
      const error = await rejection(client.query(text))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ code: '57P01', phase: 'transaction', sent: false, commitOutcome: 'aborted' })
      expect(error.cause).toMatchObject({ code: '57P01', severity: 'FATAL' })
      expect(isDisconnect(error)).toBe(true)
      expect(isRetryable(error)).toBe(true)
    }

    client.release()
    expect(await cluster.query("select from entry where id = 'lost'")).toHaveLength(0)
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
