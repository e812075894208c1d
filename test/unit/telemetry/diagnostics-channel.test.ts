import diagnostics_channel from 'node:diagnostics_channel'
import { expect, test } from 'vitest'
import { diagnosticsChannel } from '../../../packages/core/src/telemetry/diagnostics-channel.ts'
import { Publisher } from '../../../packages/core/src/telemetry/events.ts'
import { sample, TYPES } from './sample-events.ts'

function publisherOf(name: string): Publisher {
  const publisher = new Publisher(name)
  const { subscriber, wants } = diagnosticsChannel(name)
  publisher.subscribe(subscriber, wants)
  return publisher
}

test.each(TYPES)('%s is published on its channel, with the name of its pool', (type) => {
  const publisher = publisherOf('orders')
  const heard: unknown[] = []
  const hear = (message: unknown): number => heard.push(message)
  diagnostics_channel.subscribe(`holdfast:${type}`, hear)
  try {
    publisher.publish(sample(type))
    publisherOf('customers').publish(sample(type))
  } finally {
    diagnostics_channel.unsubscribe(`holdfast:${type}`, hear)
  }
  publisher.publish(sample(type))
  expect(heard).toEqual([
    { ...sample(type), pool: { name: 'orders' } },
    { ...sample(type), pool: { name: 'customers' } },
  ])
})

test('a channel wants events only while it has a subscriber, even one that subscribed after the pool was made', () => {
  const publisher = publisherOf('orders')
  const hear = (): void => {}
  expect(TYPES.filter((type) => publisher.hasListener(type)())).toEqual([])
  diagnostics_channel.subscribe('holdfast:connection-leased', hear)
  expect(TYPES.filter((type) => publisher.hasListener(type)())).toEqual(['connection-leased'])
  diagnostics_channel.unsubscribe('holdfast:connection-leased', hear)
  expect(TYPES.filter((type) => publisher.hasListener(type)())).toEqual([])
})
