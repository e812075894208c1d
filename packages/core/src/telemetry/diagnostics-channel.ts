import { type Channel, channel } from 'node:diagnostics_channel'
import type { EventConnection, Listener, PoolEvent, PoolEventType } from './events.ts'

/**
 * What is published on the channel `holdfast:<type>` of `node:diagnostics_channel`: the event, and the pool that it is about.
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

// Kept, since Node would look a channel up by its name each time.
const channels = new Map<PoolEventType, Channel>()

/** Publishes every event on its channel, for subscribers anywhere in the process. Without one it costs next to nothing. */
export function diagnosticsChannel(poolName: string): Listener {
  const pool = Object.freeze({ name: poolName })
  return {
    wants: (type) => {
      const ofType = channelOf(type)
      return () => ofType.hasSubscribers
    },
    subscriber: (event) => channelOf(event.type).publish(messageOf(event, pool)),
  }
}

/** A message of plain facts. The client isn't enumerable, so that a log of messages doesn't print its statements. */
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
