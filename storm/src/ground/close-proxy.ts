import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultProxy } from '@holdfast/test/support'

const PATIENCE_MILLIS = 1000

/**
 * Closes a proxy. Not for longer than a second: Node never tells the end of a socket that was reset while its own end
 * was still on its way, and a proxy in a storm has such sockets.
 */
export async function closeProxy(proxy: FaultProxy): Promise<void> {
  await Promise.race([proxy[Symbol.asyncDispose](), sleep(PATIENCE_MILLIS)])
}
