import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { statusOf } from '../../../packages/core/src/telemetry/status.ts'

const FACTS = {
  name: 'orders',
  pid: 4711,
  max: 15,
  maxIdle: 5,
  size: 3,
  leased: 1,
  idle: 2,
  opening: 0,
  checking: 0,
  resetting: 0,
  waiting: 0,
  listening: 0,
  isClosed: false,
  pooler: 'none' as const,
}

test('a status as text is the line of SQLAlchemy, two spaces and all', () => {
  const line = 'Pool size: 5  Connections in pool: 2 Current Overflow: -2 Current Checked out connections: 1'
  const status = statusOf(FACTS)
  expect(String(status)).toBe(line)
  expect(`${status}`).toBe(line)
})

test('a status as JSON has every count', () => {
  expect(JSON.parse(JSON.stringify(statusOf(FACTS)))).toEqual(FACTS)
})

test('a status in a console shows what it is, and every count', () => {
  expect(inspect(statusOf(FACTS), { breakLength: Number.POSITIVE_INFINITY })).toBe(
    `PoolStatus ${inspect(FACTS, { breakLength: Number.POSITIVE_INFINITY })}`,
  )
})

test('a status is of one moment, and cannot be changed', () => {
  const facts = { ...FACTS }
  const status = statusOf(facts)
  facts.leased = 9
  expect(status.leased).toBe(1)
  expect(() => Object.assign(status, { leased: 9 })).toThrow(TypeError)
})
