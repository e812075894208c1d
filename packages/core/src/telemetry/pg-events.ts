import type { EventEmitter } from 'node:events'
import type { PoolClient } from 'pg'
import { ConnectionLostError } from '../errors.ts'
import type { Listener, PoolEvent, PoolEventType } from './events.ts'

type Emit = (pool: EventEmitter, event: PoolEvent) => void

// pg's events, emitted where pg emits them, by the types of ours.
const PG_EVENTS: Partial<Record<PoolEventType, { readonly name: string; readonly emit: Emit }>> = {
  'connection-opened': { name: 'connect', emit: emitClient('connect') },
  'connection-leased': { name: 'acquire', emit: emitClient('acquire') },
  'connection-released': {
    name: 'release',
    emit: (pool, event) => {
      if (event.type === 'connection-released') pool.emit('release', event.discard, event.connection.client)
    },
  },
  'connection-lost': {
    name: 'error',
    emit: (pool, event) => {
      if (event.type === 'connection-lost' && !event.wasLeased)
        emitError(pool, new ConnectionLostError(event.loss, false), event.connection.client)
    },
  },
  'connection-closed': { name: 'remove', emit: emitClient('remove') },
}

/** Emits pg's own events. An `error` without a listener would end the process, so it isn't emitted then. */
export function pgEvents(pool: EventEmitter): Listener {
  return {
    wants: (type) => {
      const pgEvent = PG_EVENTS[type]
      return pgEvent !== undefined && (() => pool.listenerCount(pgEvent.name) > 0)
    },
    subscriber: (event) => PG_EVENTS[event.type]?.emit(pool, event),
  }
}

function emitClient(name: string): Emit {
  return (pool, event) => {
    if ('connection' in event) pool.emit(name, event.connection.client)
  }
}

/** As in pg-pool, the error has its client, which libraries read. Not enumerable, so that it isn't logged with the error. */
function emitError(pool: EventEmitter, error: Error, client: PoolClient): void {
  Object.defineProperty(error, 'client', { value: client, configurable: true })
  pool.emit('error', error, client)
}
