import { beforeEach, describe, expect, test } from 'vitest'
import { Outage } from '../../../packages/core/src/engine/outage.ts'
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

test('a pool that opens its first connections has recovered from nothing', () => {
  outage.tries(100)
  outage.succeeded(112, true)
  outage.tries(120)
  outage.succeeded(130, false)
  expect(told).toEqual([])
})

test('after attempts that failed, the outage counts from the beginning of the first one', () => {
  outage.tries(100)
  outage.failed(100, refused())
  outage.tries(150)
  outage.failed(150, refused())
  outage.tries(250)
  outage.succeeded(262, false)
  expect(told).toEqual([{ type: 'recovered', afterMillis: 162, failedAttempts: 2 }])
})

test('after the loss of all it counts from the next attempt: nobody knows what was before', () => {
  outage.lostAll()
  outage.tries(100_000)
  outage.succeeded(100_012, true)
  expect(told).toEqual([{ type: 'recovered', afterMillis: 12, failedAttempts: 0 }])
})

test('after the loss of all it is not told while another connection is open still', () => {
  outage.lostAll()
  outage.tries(100)
  outage.succeeded(112, false)
  expect(told).toEqual([])
})

test('a recovery is told once, and the next outage counts for itself', () => {
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

describe('a server that is full, and refuses and accepts in turn', () => {
  test('is not told to be back while the pool has connections', () => {
    outage.failed(100, full())
    outage.succeeded(200, false)
    expect(told).toEqual([])
  })

  test('is told to be back if the pool had none', () => {
    outage.failed(100, full())
    outage.succeeded(200, true)
    expect(told).toEqual([{ type: 'recovered', afterMillis: 100, failedAttempts: 1 }])
  })
})
