import { expect, test, vi } from 'vitest'
import { type PoolEvent, Publisher } from '../../../packages/core/src/telemetry/events.ts'

const event: PoolEvent = { type: 'connect-failed', error: undefined, openCount: 0 }

test('every subscriber gets every event, in the order of subscription', () => {
  const heard: string[] = []
  const publisher = new Publisher('orders')
  publisher.subscribe(() => heard.push('first'))
  publisher.subscribe(() => heard.push('second'))
  publisher.publish(event)
  publisher.publish(event)
  expect(heard).toEqual(['first', 'second', 'first', 'second'])
})

test.each([
  { thrown: new Error('broken'), described: 'Error: broken' },
  { thrown: 'a string', described: 'a string' },
])('a subscriber that throws $described causes a warning, and the next one gets the event', ({ thrown, described }) => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const next = vi.fn()
  const publisher = new Publisher('orders')
  publisher.subscribe(() => {
    throw thrown
  })
  publisher.subscribe(next)

  expect(() => publisher.publish(event)).not.toThrow()
  expect(next).toHaveBeenCalledExactlyOnceWith(event)
  expect(warn.mock.calls[0]?.[0]).toContain(`A listener of pool 'orders' threw on connect-failed: ${described}`)
  warn.mockRestore()
})
