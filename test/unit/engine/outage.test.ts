import { beforeEach, describe, expect, test } from 'vitest'
import { Outage } from '../../../packages/core/src/engine/connect-scheduler.ts'
import { ConnectError } from '../../../packages/core/src/errors.ts'
import { Publisher } from '../../../packages/core/src/telemetry/events.ts'
import { refused } from '../telemetry/sample-events.ts'

let told: unknown[]
let outage: Outage

beforeEach(() => {
  told = []
  const publisher = new Publisher('orders')
  publisher.subscribe((event) => told.push(event))
  outage = new Outage(publisher)
})

/** What comes of a server that has no connection left to give. */
function full(): Error {
  const cause = Object.assign(new Error('sorry, too many clients already'), { code: '53300' })
  return new ConnectError({ host: 'db', port: 5432, database: 'app' }, cause)
}

test('reports no recovery when a pool opens its first connections', () => {
  outage.tries(100)
  outage.succeeded(112, true)
  outage.tries(120)
  outage.succeeded(130, false)
  expect(told).toEqual([])
})

test('counts an outage from the beginning of the first attempt that failed', () => {
  outage.tries(100)
  outage.failed(100, refused())
  outage.tries(150)
  outage.failed(150, refused())
  outage.tries(250)
  outage.succeeded(262, false)
  expect(told).toEqual([{ type: 'recovered', afterMillis: 162, failedAttempts: 2 }])
})

test('counts an outage from the next attempt after all connections were lost', () => {
  outage.lostAll()
  outage.tries(100_000)
  outage.succeeded(100_012, true)
  expect(told).toEqual([{ type: 'recovered', afterMillis: 12, failedAttempts: 0 }])
})

test('reports no recovery after a loss while another connection is still open', () => {
  outage.lostAll()
  outage.tries(100)
  outage.succeeded(112, false)
  expect(told).toEqual([])
})

test('reports a recovery once, and counts the next outage separately', () => {
  outage.failed(100, refused())
  outage.succeeded(200, true)
  outage.succeeded(210, false)
  outage.failed(500, refused())
  outage.succeeded(700, true)
  expect(told).toEqual([
    { type: 'recovered', afterMillis: 100, failedAttempts: 1 },
    { type: 'recovered', afterMillis: 200, failedAttempts: 1 },
  ])
})

describe('a server that is full', () => {
  test('a full server is not reported as recovered while the pool has connections', () => {
    outage.failed(100, full())
    outage.succeeded(200, false)
    expect(told).toEqual([])
  })

  test('a full server is reported as recovered if the pool had no connection', () => {
    outage.failed(100, full())
    outage.succeeded(200, true)
    expect(told).toEqual([{ type: 'recovered', afterMillis: 100, failedAttempts: 1 }])
  })
})
