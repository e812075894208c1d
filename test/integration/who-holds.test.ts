import { PoolTimeoutError, withPoolOptions } from '@holdfast/core'
import { expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { holdfast } from '../faults/support/pools.ts'
import { rejection } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'

const SECRET = 'S3cret'

test('inspect() says what each lease is used for, without what may be secret', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 3 })
  const holder = await withPoolOptions({ label: 'checkout' }, () => pool.connect())
  await holder.query('begin')
  const slow = pool.query(`select pg_sleep(0.5), '${SECRET}' as it -- ${SECRET}`)
  await until(() => pool.inspect().some(({ statement }) => statement))
  expect(pool.inspect()).toMatchObject([
    { state: 'leased', label: 'checkout', transaction: 'open', statement: undefined },
    { state: 'leased', label: undefined, transaction: undefined, statement: 'select pg_sleep(?), ? as it' },
  ])
  await slow
  await rejection(holder.query('select 1/0'))
  await until(() => pool.inspect()[0]?.transaction === 'failed')
  await holder.query('rollback')
  holder.release()
  expect(pool.inspect()[0]).toMatchObject({ state: 'idle', label: undefined, transaction: undefined })
})

test('the error of a caller that got no connection says who holds one for longest', async ({ direct }) => {
  await using pool = holdfast({ ...direct, max: 1, connectionTimeoutMillis: 400 })
  const holder = await withPoolOptions({ label: 'nightly "report"' }, () => pool.connect())
  await holder.query('begin')
  const slow = holder.query(`select pg_sleep(1), '${SECRET}' as it`)
  const error: unknown = await rejection(pool.connect())
  if (!(error instanceof PoolTimeoutError)) throw error
  expect(error.details.longestLease).toMatchObject({
    label: 'nightly "report"',
    transaction: 'open',
    statement: 'select pg_sleep(?), ? as it',
  })
  expect(error.message).toContain(
    ', for "nightly \\"report\\"", in a transaction, running `select pg_sleep(?), ? as it`)',
  )
  await slow
  await holder.query('rollback')
  holder.release()
})

test('the warning of a leak says what the lease is used for', async ({ direct }) => {
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line)
  const logger = { debug: write, info: write, warn: write, error: write }
  await using pool = holdfast({ ...direct, max: 1, leakDetectionMillis: 50, logger })
  const holder = await withPoolOptions({ label: 'checkout' }, () => pool.connect())
  await holder.query('begin')
  await until(() => lines.length > 0)
  expect(lines[0]).toMatch(/not released for \d+ ms, for "checkout", in a transaction/)
  await holder.query('rollback')
  holder.release()
})
