import { ConnectionLostError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { Application } from './support/application.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast, StockPool, WAYS } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

// A block may commit on its way, so that the pool doesn't run it again by itself.
const FOR_EVER = "do $$ begin perform pg_sleep('infinity'); end $$"

/** Ends the session that runs a statement. */
async function killRunning(cluster: Cluster, applicationName: string): Promise<void> {
  await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) > 0)
  await cluster.terminateBackends({ applicationName, state: 'active' })
}

describe('a session is killed while a statement runs, and a caller waits for the connection', () => {
  test('stock pg.Pool: a kill while a statement runs ends the process', async ({ cluster, direct }) => {
    await using application = await Application.start('stock', { ...direct, max: 1 })
    await application.listen()
    await application.connect()
    const failed = rejection(application.clientQuery(FOR_EVER))
    await killRunning(cluster, direct.application_name)
    await failed
    expect(await application.ends()).toMatchObject({ code: 1, stderr: expect.stringContaining("'error' event") })
  })

  test('stock pg.Pool: the waiter gets the killed connection', async ({ cluster, direct }) => {
    await using pool = new StockPool({ ...direct, max: 1 })
    const [, viaConnect] = WAYS
    const failed = rejection(viaConnect?.run(pool, FOR_EVER) as Promise<unknown>)
    const waiter = rejection(viaConnect?.run(pool, 'select 1') as Promise<unknown>)
    await killRunning(cluster, direct.application_name)
    expect(await failed).toMatchObject({ code: '57P01' })
    expect(await waiter).toMatchObject({ message: expect.stringMatching(/terminated|EPIPE|ECONNRESET/) })
  })

  test('Holdfast: the process survives a kill while a statement runs', async ({ cluster, direct }) => {
    await using application = await Application.start('holdfast', { ...direct, max: 1 })
    await application.connect()
    const failed = rejection(application.clientQuery(FOR_EVER))
    const waiter = application.query('select 1 as one')
    await killRunning(cluster, direct.application_name)
    expect(await failed).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    expect(await waiter).toEqual([{ one: 1 }])
    await application.release()
    await application.end()
    application.leave()
    expect(await application.ends()).toEqual({ code: 0, stderr: '' })
  })

  test.for(WAYS)('Holdfast: the waiter gets a live connection, through $way', async ({ run }, { cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const failed = rejection(run(pool, FOR_EVER))
    const waiters = [run(pool, 'select 1'), run(pool, 'select 2')]
    await killRunning(cluster, direct.application_name)

    const error = await failed
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ code: '57P01', phase: 'query', sent: true, commitOutcome: 'unknown' })
    expect(error.cause).toMatchObject({ code: '57P01', severity: 'FATAL' })
    await settles(Promise.all(waiters), 'the waiters')
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: nothing was written, for certain, after a kill in a transaction', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    const failed = rejection(client.query(FOR_EVER))
    await killRunning(cluster, direct.application_name)
    expect(await failed).toMatchObject({ code: '57P01', phase: 'transaction', sent: true, commitOutcome: 'aborted' })
    client.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })

  test('Holdfast: a statement behind the one that was killed was never sent', async ({ cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    const client = await pool.connect()
    const running = rejection(client.query(FOR_EVER))
    const queued = rejection(client.query('select 1'))
    await killRunning(cluster, direct.application_name)
    expect(await running).toMatchObject({ code: '57P01', sent: true })
    expect(await queued).toMatchObject({ code: '57P01', sent: false })
    client.release()
    await expectHealthy(pool, cluster, direct.application_name)
  })
})
