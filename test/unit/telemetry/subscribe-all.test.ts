import diagnostics_channel from 'node:diagnostics_channel'
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from 'vitest'
import type { Logger } from '../../../packages/core/src/options/pool-options.ts'
import { Publisher } from '../../../packages/core/src/telemetry/events.ts'
import { statusOf } from '../../../packages/core/src/telemetry/status.ts'
import { subscribeAll } from '../../../packages/core/src/telemetry/subscribe-all.ts'
import { RecordingLogger } from './recording-logger.ts'
import { sample, TYPES } from './sample-events.ts'

const STATUS = statusOf({
  name: 'orders',
  pid: 1,
  max: 10,
  maxIdle: 10,
  size: 0,
  leased: 0,
  idle: 0,
  opening: 0,
  checking: 0,
  resetting: 0,
  waiting: 0,
  listening: 0,
  isClosed: false,
  pooler: 'none',
})

function publisherOf(echo: false | 'info' | 'debug', logger?: Logger): Publisher {
  const publisher = new Publisher('orders')
  const options = { name: 'orders', echo, logger, connectRetry: {}, connectionTimeoutMillis: 30_000 }
  subscribeAll(publisher, { options, clock: { now: () => 0 }, status: () => STATUS })
  return publisher
}

let emitted: MockInstance<typeof process.emitWarning>
let printed: MockInstance<typeof console.info>
beforeEach(() => {
  emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  printed = vi.spyOn(console, 'info').mockImplementation(() => {})
})
afterEach(() => vi.restoreAllMocks())

test('without an echo, no listener wants the frequent events', () => {
  const publisher = publisherOf(false)
  const frequent = ['connection-leased', 'connection-released', 'connection-pinged', 'connection-reset'] as const
  expect(frequent.filter((type) => publisher.hasListener(type)())).toEqual([])
})

test('without an echo, a logger gets only warnings', () => {
  const logger = new RecordingLogger()
  const publisher = publisherOf(false, logger)
  for (const type of TYPES) publisher.publish(sample(type))
  expect(new Set(logger.lines.map(([level]) => level))).toEqual(new Set(['warn']))
  expect(emitted).not.toHaveBeenCalled()
})

test('an echo goes to the logger', () => {
  const logger = new RecordingLogger()
  publisherOf('info', logger).publish(sample('pool-disposed'))
  expect(logger.lines).toEqual([['info', `[holdfast:orders ${process.pid}] Pool disposed. ${STATUS}`]])
  expect(printed).not.toHaveBeenCalled()
})

test('without a logger, an echo goes to the console, and warnings are warnings of the process', () => {
  const publisher = publisherOf('info')
  publisher.publish(sample('pool-disposed'))
  publisher.publish(sample('connection-leak-suspected'))
  expect(printed).toHaveBeenCalledExactlyOnceWith(`[holdfast:orders ${process.pid}] Pool disposed. ${STATUS}`)
  expect(emitted).toHaveBeenCalledOnce()
})

test('a logger that throws costs a warning, and diagnostics channels are served all the same', () => {
  const logger = new RecordingLogger()
  vi.spyOn(logger, 'info').mockImplementation(() => {
    throw new Error('disk full')
  })
  const publisher = publisherOf('info', logger)
  const heard = vi.fn()
  diagnostics_channel.subscribe('holdfast:pool-disposed', heard)
  try {
    publisher.publish(sample('pool-disposed'))
  } finally {
    diagnostics_channel.unsubscribe('holdfast:pool-disposed', heard)
  }
  expect(emitted).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('disk full'), expect.anything())
  expect(heard).toHaveBeenCalledOnce()
})
