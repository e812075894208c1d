import type { Logger, StructuredLogger } from '../options/pool-options.ts'
import type { EchoLevel } from '../options/read-values.ts'
import type { Clock } from '../runtime/clock.ts'
import { counting } from './counting.ts'
import { diagnosticsChannel } from './diagnostics-channel.ts'
import { echo } from './echo.ts'
import type { Publisher } from './events.ts'
import type { PoolStatus } from './status.ts'
import { warnings } from './warnings.ts'

/** What the listeners of a pool need to know of it. */
export interface SubscribeAllParts {
  /** The options that they use. */
  readonly options: {
    readonly name: string
    readonly echo: EchoLevel
    readonly logger: Logger | StructuredLogger | undefined
    readonly connectRetry: object | false
    readonly connectionTimeoutMillis: number
  }
  readonly clock: Pick<Clock, 'now'>
  readonly status: () => PoolStatus
}

/**
 * Subscribes the warnings, the echo, and the diagnostics channels. Call it before subscribing code that may use the pool:
 * what such code does would otherwise be logged before the event that caused it.
 */
export function subscribeAll(publisher: Publisher, { options, clock, status }: SubscribeAllParts): void {
  const { name, logger } = options
  publisher.counts.since = clock.now()
  const listeners = [counting(publisher.counts), warnings({ ...options, clock })]
  if (options.echo) listeners.push(echo({ name, level: options.echo, logger: logger ?? console, status }))
  listeners.push(diagnosticsChannel(name))
  for (const listener of listeners) publisher.subscribe(listener.subscriber, listener.wants)
}
