import { EventEmitter } from 'node:events'

/** The listeners that can't be removed by callers. Of a listener of `once`, this is its wrapper. */
const KEPT = new WeakSet<object>()
const GUARDED = new WeakSet<EventEmitter>()
const { on, prependListener, removeListener } = EventEmitter.prototype

// biome-ignore lint/suspicious/noExplicitAny: the arguments of any event.
type Listener = (...all: any[]) => void

/**
 * Adds a listener that stays when a caller removes the listeners of this emitter. `client.removeAllListeners()` and loops
 * over `listeners('error')` are common before a `release()`, and without a listener the next `error` would end the process.
 * Returns a function that removes it.
 */
export function keepListening(
  emitter: EventEmitter,
  event: string,
  listener: Listener,
  place: 'first' | 'last' = 'last',
): () => void {
  guard(emitter)
  const add = place === 'first' ? prependListener : on
  // A function of its own for each call, since the same listener may be added twice.
  const kept: Listener = (...all) => listener(...all)
  KEPT.add(kept)
  add.call(emitter, event, kept)
  return () => void removeListener.call(emitter, event, kept)
}

/** Keeps listeners that are there already: the driver's own, without which no statement would ever be answered. */
export function keepListeners(emitter: EventEmitter, events: readonly (string | symbol)[]): void {
  // A socket of the user's own making may not be a complete emitter.
  if (typeof emitter.rawListeners !== 'function') return
  guard(emitter)
  for (const event of events) for (const listener of emitter.rawListeners(event)) KEPT.add(listener)
}

/** Makes the emitter remove only listeners that aren't kept. */
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
