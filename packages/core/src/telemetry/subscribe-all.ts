import type { Logger } from '../options/logger.ts'
import type { EchoLevel } from '../options/resolved-options.ts'
import type { Clock } from '../runtime/clock.ts'
import { diagnosticsChannel } from './diagnostics-channel.ts'
import { echo } from './echo.ts'
import type { Publisher } from './events.ts'
import type { PoolStatus } from './status.ts'
import { warnings } from './warnings.ts'

/** What those who tell of a pool need to know of it. */
export interface SubscribeAllParts {
  /** The options that they care for. */
  readonly options: {
    readonly name: string
    readonly echo: EchoLevel
    readonly logger: Logger | undefined
    readonly connectRetry: object | false
    readonly connectionTimeoutMillis: number
  }
  readonly clock: Pick<Clock, 'now'>
  readonly status: () => PoolStatus
}

/**
 * Subscribes everybody who tells of a pool: the warnings, the echo, and the diagnostics channels. To be called before
 * anyone subscribes whose code may use the pool, since what that code does is told before later subscribers hear why.
 */
export function subscribeAll(publisher: Publisher, { options, clock, status }: SubscribeAllParts): void {
  const { name, logger } = options
  const listeners = [warnings({ ...options, clock })]
  if (options.echo) listeners.push(echo({ name, level: options.echo, logger: logger ?? console, status }))
  listeners.push(diagnosticsChannel(name))
  for (const { subscriber, hears } of listeners) publisher.subscribe(subscriber, hears)
}
