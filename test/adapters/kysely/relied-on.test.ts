import { PostgresDriver, type PostgresPoolClient } from 'kysely'
import { expect, test } from 'vitest'
import { unattended } from '../../faults/support/settling.ts'

// See packages/kysely/src/kysely-patches.ts: what is relied on there, in Kysely as it is.

test("Kysely's driver calls connect() before acquireConnection() returns its promise", async () => {
  let connects = 0
  const connect = (): Promise<PostgresPoolClient> => {
    connects++
    return new Promise(() => {})
  }
  const driver = new PostgresDriver({ pool: { connect, end: async () => {}, options: {} } })
  await driver.init()
  void unattended(driver.acquireConnection())
  expect(connects).toBe(1)
})
