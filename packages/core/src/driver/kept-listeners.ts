import { EventEmitter } from 'node:events'

/** The listeners that stay, whoever asks for their removal. `once` is here by its wrapper. */
const KEPT = new WeakSet<object>()
const GUARDED = new WeakSet<EventEmitter>()
const { on, prependListener, removeListener } = EventEmitter.prototype

// biome-ignore lint/suspicious/noExplicitAny: whatever an event is told with.
type Listener = (...all: any[]) => void

/**
 * Listens, and goes on listening when a caller removes the listeners of this emitter: `client.removeAllListeners()` and
 * loops over `listeners('error')` are common before a `release()`, and a pool that hears nothing would lose the process
 * to the next `error`. Returns what stops it.
 */
export function keepListening(
  emitter: EventEmitter,
  event: string,
  listener: Listener,
  place: 'first' | 'last' = 'last',
): () => void {
  guard(emitter)
  const add = place === 'first' ? prependListener : on
  // Of our own, since the same function may listen twice.
  const kept: Listener = (...all) => listener(...all)
  KEPT.add(kept)
  add.call(emitter, event, kept)
  return () => void removeListener.call(emitter, event, kept)
}

/** Keeps what listens already: the driver's own listeners, without which no statement would ever be answered. */
export function keepListeners(emitter: EventEmitter, events: readonly (string | symbol)[]): void {
  // A socket of the user's making may be less than an emitter.
  if (typeof emitter.rawListeners !== 'function') return
  guard(emitter)
  for (const event of events) for (const listener of emitter.rawListeners(event)) KEPT.add(listener)
}

/** Has the emitter remove only what isn't kept. */
function guard(emitter: EventEmitter): void {
  if (GUARDED.has(emitter)) return
  GUARDED.add(emitter)
  const { removeListener: remove, removeAllListeners: removeAll } = emitter
  const removeOne = (event: string | symbol, listener: Listener): EventEmitter =>
    KEPT.has(listener) ? emitter : remove.call(emitter, event, listener)
  emitter.removeListener = removeOne as typeof emitter.removeListener
  emitter.off = removeOne as typeof emitter.off
  emitter.removeAllListeners = ((...named: [event?: string | symbol]) => {
    for (const event of named.length > 0 ? named : emitter.eventNames()) {
      const listeners = emitter.rawListeners(event as string)
      if (listeners.some((listener) => KEPT.has(listener)))
        for (const listener of listeners) removeOne(event as string, listener as Listener)
      else removeAll.call(emitter, event)
    }
    return emitter
  }) as typeof emitter.removeAllListeners
}
