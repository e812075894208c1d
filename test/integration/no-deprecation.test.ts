import { expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection } from '../faults/support/settling.ts'

// In a file of its own: pg warns once in a process.
test('what rides along with awaited statements does not make pg warn of statements that are not', async ({
  direct,
}) => {
  const warnings: Error[] = []
  const note = (warning: Error): void => {
    warnings.push(warning)
  }
  process.on('warning', note)
  await using pool = holdfast({ ...direct, max: 1 })
  const client = await pool.connect()
  for (const work of ['select 1', 'select 1 / 0', "insert into entry values ('deprecation')"]) {
    await client.query('begin')
    // Told at the error itself, before the server is ready for the next.
    await client.query(work).catch(() => {})
    await client.query('rollback')
  }
  client.release()
  await rejection(pool.transaction((tx) => tx.query('select 1 / 0'), { retry: false }))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  expect(warnings).toEqual([])
})
