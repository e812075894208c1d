import { expect, test } from 'vitest'
import { EngineFixture } from './engine-fixture.ts'

const EVENTS = ['connection-retired', 'connection-closed']

test('a retired connection is told of twice: when its slot is free, and when its socket is closed', async () => {
  using rig = new EngineFixture({ max: 1 })
  const call = await rig.lease()
  rig.server.hearsGoodbyes = false
  const told = () => rig.events.map(({ type }) => type).filter((type) => EVENTS.includes(type))

  call.release(true)
  expect(rig.counts.total).toBe(0)
  expect(told()).toEqual(['connection-retired'])
  rig.server.backend(1).disappear()
  await rig.clock.advance(0)
  expect(told()).toEqual(EVENTS)
})

test('a slow goodbye keeps no slot from the next one', async () => {
  using rig = new EngineFixture({ max: 1 })
  const call = await rig.lease()
  rig.server.hearsGoodbyes = false
  call.release(true)
  expect((await rig.lease()).leased.id).toBe(2)
  expect(rig.server.backend(1).isOpen).toBe(true)
})

test('a goodbye that nobody hears ends after closeTimeoutMillis', async () => {
  using rig = new EngineFixture({ closeTimeoutMillis: 2000 })
  const call = await rig.lease()
  rig.server.hearsGoodbyes = false
  call.release(true)
  await rig.clock.advance(1999)
  expect(rig.server.backend(1).isOpen).toBe(true)
  await rig.clock.advance(1)
  expect(rig.server.backend(1).isOpen).toBe(false)
})

test('an attempt that failed is no connection that was retired', async () => {
  using rig = new EngineFixture({ connectRetry: false })
  rig.server.welcome = new Error('Connection terminated unexpectedly')
  rig.call()
  await rig.clock.advance(0)
  expect(rig.events.map(({ type }) => type)).toEqual(['connect-failed', 'acquire-failed'])
})
