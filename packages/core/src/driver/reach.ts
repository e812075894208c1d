import { connect } from 'node:net'
import type { Client } from 'pg'
import { afterPatience, type Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { codeOf } from '../thrown.ts'
import { internalsOf } from './internals.ts'

/** What the kernel says when the network doesn't lead to an address. */
const NO_WAY: ReadonlySet<string> = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'])

/**
 * Whether the network leads to the address that this client's socket leads to. A server that refuses is reached, and so is one
 * that accepts and says nothing: it may be at work for others. Resolves with undefined where the address isn't known.
 */
export function reachesAddress(client: Client, clock: Clock, timeoutMillis: number): Promise<boolean | undefined> {
  const { remoteAddress: host, remotePort: port } = internalsOf(client).connection.stream as {
    readonly remoteAddress?: string
    readonly remotePort?: number
  }
  if (host === undefined || port === undefined) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const socket = inNoContext(() => connect({ host, port }).unref())
    const end = (isReached: boolean): void => {
      cancel()
      socket.destroy()
      resolve(isReached)
    }
    const cancel = afterPatience(clock, timeoutMillis, 'nothing', () => end(false))
    socket.once('connect', () => end(true))
    socket.on('error', (error) => end(!NO_WAY.has(codeOf(error) ?? '')))
  })
}
