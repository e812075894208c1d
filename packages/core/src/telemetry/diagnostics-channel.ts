import { type Channel, channel } from 'node:diagnostics_channel'
import type { EventConnection, PoolEvent, PoolEventType } from './events.ts'
import type { Listener } from './listener.ts'

/**
 * What is published on the channel `holdfast:<type>` of `node:diagnostics_channel`: the event, and whose it is.
 *
 * @example
 * ```ts
 * diagnostics_channel.subscribe('holdfast:connection-retired', (message) => {
 *   const { pool, connection, reason } = message as PoolEventMessage<'connection-retired'>
 *   retirements.add(1, { pool: pool.name, reason })
 * })
 * ```
 */
export type PoolEventMessage<Type extends PoolEventType = PoolEventType> = Extract<PoolEvent, { type: Type }> & {
  /** The option `name`. */
  readonly pool: { readonly name: string }
}

// Kept, since Node looks one up by its name each time.
const channels = new Map<PoolEventType, Channel>()

/** Publishes every event to whoever subscribes, from wherever in the process. Unheard, it costs next to nothing. */
export function diagnosticsChannel(poolName: string): Listener {
  const pool = Object.freeze({ name: poolName })
  return {
    hears: (type) => {
      const ofType = channelOf(type)
      return () => ofType.hasSubscribers
    },
    subscriber: (event) => channelOf(event.type).publish(messageOf(event, pool)),
  }
}

/** Plain facts: a log of messages must not print the statements that a connection is at. */
function messageOf(event: PoolEvent, pool: PoolEventMessage['pool']): PoolEventMessage {
  if (!('connection' in event)) return { ...event, pool }
  const { id, backendPid, client } = event.connection
  const connection = Object.defineProperty({ id, backendPid }, 'client', { value: client }) as EventConnection
  return { ...event, connection, pool }
}

function channelOf(type: PoolEventType): Channel {
  let found = channels.get(type)
  if (!found) {
    found = channel(`holdfast:${type}`)
    channels.set(type, found)
  }
  return found
}
