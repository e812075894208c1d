import { ConnectionLostError } from '@holdfast/core'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import { test } from './support/fault-test.ts'
import { expectHealthy } from './support/health.ts'
import { holdfast } from './support/pools.ts'
import { rejection, settles } from './support/settling.ts'

/** They end no transaction, whatever stands in them. */
const SLOW = [
  "select pg_sleep('infinity'), 'first; second'",
  "select pg_sleep('infinity'), 'it\\'",
  "select pg_sleep('infinity'), e'it\\'s; commit'",
  "select pg_sleep('infinity'); -- slow",
  "select pg_sleep('infinity') /* a; /* commit; */ end; */",
  "do $$ begin perform 1; perform pg_sleep('infinity'); end $$",
  "select 1; select pg_sleep('infinity')",
  "savepoint a; select pg_sleep('infinity'); rollback to a",
]

async function killRunning(cluster: Cluster, applicationName: string): Promise<void> {
  await until(async () => (await cluster.countSessions({ applicationName, state: 'active' })) > 0)
  await cluster.terminateBackends({ applicationName, state: 'active' })
}

describe('killed in a transaction while a statement runs that has a semicolon, but ends nothing', () => {
  test.for(SLOW)(
    'Holdfast: the error of a kill says that COMMIT was never sent: %s',
    async (slow, { cluster, direct }) => {
      await using pool = holdfast({ ...direct, max: 1 })
      const client = await pool.connect()
      await client.query('begin')
      const failed = rejection(client.query(slow))
      await killRunning(cluster, direct.application_name)
      const error = await failed
      client.release()
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ phase: 'transaction', commitOutcome: 'aborted' })
      await expectHealthy(pool, cluster, direct.application_name)
    },
  )

  test.for(SLOW)('Holdfast: pool.transaction runs again after a kill: %s', async (slow, { cluster, direct }) => {
    await using pool = holdfast({ ...direct, max: 1 })
    let attempts = 0
    const done = pool.transaction(async (tx) => {
      attempts++
      await tx.query(attempts === 1 ? slow : 'select 1')
    })
    const settled = settles(done, 'the transaction').then(
      () => 'committed',
      (error: Error) => error.message,
    )
    await killRunning(cluster, direct.application_name)
    expect(await settled).toBe('committed')
    expect(attempts).toBe(2)
  })
})
