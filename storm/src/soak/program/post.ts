import type { Operation } from '../../workload/operation.ts'
import type { SoakMessage } from './messages.ts'

/** Tells the soak. */
export function post(message: SoakMessage): void {
  // Without a channel the soak is gone, and no process needs the message.
  if (process.connected) process.send?.(message)
}

/** Tells of an operation, unless it only read, and got its answer. In the same tick: a crash may come in the next. */
export function tellOf(operation: Operation): void {
  if (operation.key !== '' || operation.outcome === 'failed') post({ type: 'ended', operation })
}
