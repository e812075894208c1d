import { getEventListeners } from 'node:events'
import type { Connection } from '../../../packages/core/src/connection/connection.ts'
import type { ResetPolicy } from '../../../packages/core/src/options/pool-options.ts'
import type { CallerPlan } from './interleavings.ts'

/** One caller, from its call of `acquire` until it releases its connection, or is refused. */
export class SimulatedCaller {
  readonly plan: CallerPlan
  readonly since: number
  /** Its deadline. */
  readonly until: number
  readonly controller: AbortController | undefined
  readonly reset: ResetPolicy | undefined
  state: 'waiting' | 'holding' | 'gone' = 'waiting'
  error: (Error & { code?: string }) | undefined
  connection: Connection | undefined
  leasedAt = 0
  /** How many statements the server had received on this connection when it was leased. */
  receivedBefore = 0
  /** Releases its connection. The client has another `release` after the next lease. */
  release: (discard?: Error | boolean) => void = () => {}

  constructor(plan: CallerPlan, since: number, timeoutMillis: number, reset: ResetPolicy | undefined) {
    this.plan = plan
    this.since = since
    this.until = since + (timeoutMillis || Number.POSITIVE_INFINITY)
    this.reset = reset
    this.controller = plan.signal === 'none' ? undefined : new AbortController()
    if (plan.signal === 'aborted') this.controller?.abort()
  }

  /** How many listeners its signal has. */
  get listeners(): number {
    return this.controller ? getEventListeners(this.controller.signal, 'abort').length : 0
  }
}
