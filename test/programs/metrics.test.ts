import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { PoolOptions } from '@holdfast/core'
import { expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import type { Observed, Point } from './programs/observed.ts'

const PROGRAM = fileURLToPath(new URL('programs/observed.ts', import.meta.url))
const POOL = 'db.client.connection.pool.name'
const STATE = 'db.client.connection.state'

const NAMES = [
  'count',
  'create_time',
  'idle.max',
  'idle.min',
  'max',
  'pending_requests',
  'timeouts',
  'use_time',
  'wait_time',
]

/** The real SDK of OpenTelemetry collects, in a process of its own. */
async function observed(options: PoolOptions): Promise<Observed> {
  const args = ['--experimental-strip-types', '--no-warnings', PROGRAM, JSON.stringify(options)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Observed
}

function valueIn(points: readonly Point[], name: string, state?: string): Point['value'] | undefined {
  return points.find(({ metric, attributes }) => {
    return metric === `db.client.connection.${name}` && attributes[STATE] === state
  })?.value
}

test('observe() gives the metrics of the semantic conventions, with the name of the pool', async ({ direct }) => {
  const options = { ...direct, max: 2, min: 1, name: 'orders', connectionTimeoutMillis: 500 }
  const { during, after, stopped, multiplexed } = await observed(options)
  const seen = new Set(after.map(({ metric }) => metric.replace('db.client.connection.', '')))
  expect([...seen].toSorted()).toEqual(NAMES)
  for (const { attributes } of after) expect(attributes).toMatchObject({ [POOL]: 'orders', 'service.name': 'shop' })

  expect(valueIn(during, 'max')).toBe(2)
  expect(valueIn(during, 'idle.max')).toBe(2)
  expect(valueIn(during, 'idle.min')).toBe(1)
  expect(valueIn(during, 'count', 'used')).toBe(2)
  expect(valueIn(during, 'count', 'idle')).toBe(0)
  expect(valueIn(during, 'pending_requests')).toBe(1)
  expect(valueIn(during, 'create_time')).toMatchObject({ count: 2 })

  expect(valueIn(after, 'pending_requests')).toBe(0)
  expect(valueIn(after, 'timeouts')).toBe(1)
  expect(valueIn(after, 'wait_time')).toMatchObject({ count: 2 })
  expect(valueIn(after, 'use_time')).toMatchObject({ count: 2 })

  // Reads share connections all the same, and each has waited. What comes after the end isn't recorded.
  expect(multiplexed).toBeGreaterThan(0)
  expect(valueIn(stopped, 'wait_time')).toMatchObject({ count: 42 })
})
