import { expect, test } from 'vitest'
import { EngineFixture } from './engine-fixture.ts'

const EVENTS = ['connection-retired', 'connection-closed']

test('a retired connection is published twice: when its slot is free, and when its socket is closed', async () => {
  using fixture = new EngineFixture({ max: 1 })
  const call = await fixture.lease()
  fixture.server.hearsGoodbyes = false
  const told = () => fixture.events.map(({ type }) => type).filter((type) => EVENTS.includes(type))

  call.release(true)
  expect(fixture.counts.total).toBe(0)
  expect(told()).toEqual(['connection-retired'])
  fixture.server.backend(1).disappear()
  await fixture.clock.advance(0)
  expect(told()).toEqual(EVENTS)
})

test('a connection that closes slowly takes no slot', async () => {
  using fixture = new EngineFixture({ max: 1 })
  const call = await fixture.lease()
  fixture.server.hearsGoodbyes = false
  call.release(true)
  expect((await fixture.lease()).leased.id).toBe(2)
  expect(fixture.server.backend(1).isOpen).toBe(true)
})

test('a connection whose server ignores Terminate is destroyed after closeTimeoutMillis', async () => {
  using fixture = new EngineFixture({ closeTimeoutMillis: 2000 })
  const call = await fixture.lease()
  fixture.server.hearsGoodbyes = false
  call.release(true)
  await fixture.clock.advance(1999)
  expect(fixture.server.backend(1).isOpen).toBe(true)
  await fixture.clock.advance(1)
  expect(fixture.server.backend(1).isOpen).toBe(false)
})

test('a failed attempt is not published as a retired connection', async () => {
  using fixture = new EngineFixture({ connectRetry: false })
  fixture.server.welcome = new Error('Connection terminated unexpectedly')
  fixture.acquire()
  await fixture.clock.advance(0)
  expect(fixture.events.map(({ type }) => type)).toEqual(['connect-failed', 'acquire-failed'])
})
