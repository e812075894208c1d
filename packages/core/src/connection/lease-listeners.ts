import type { EventEmitter } from 'node:events'

/** By which method of an emitter something begins to listen. */
export type Listening = 'on' | 'once' | 'prependListener' | 'prependOnceListener'

// biome-ignore lint/suspicious/noExplicitAny: whatever an event is told with.
type Listener = (...all: any[]) => void

/** What the emitter really calls. By `listener` it knows for what it stands, when that is listed or removed. */
type Standing = Listener & { readonly listener: Listener }

interface Added {
  readonly event: string | symbol
  readonly standing: Standing
}

/**
 * The listeners that one holder has put on a client. They leave with the next lease: what is told of the session then is
 * no business of this holder, and a listener that each lease adds would pile up.
 */
export class LeaseListeners {
  readonly #client: EventEmitter
  #added: Added[] = []

  constructor(client: EventEmitter) {
    this.#client = client
  }

  /** Adds a listener, which is called with the holder's own client as `this`. */
  add(how: Listening, event: string | symbol, listener: Listener, holder: object): void {
    const isOnce = how === 'once' || how === 'prependOnceListener'
    const standing: Standing = Object.assign(
      (...all: unknown[]) => {
        if (isOnce) this.#remove(added)
        Reflect.apply(listener, holder, all)
      },
      { listener },
    )
    const added = { event, standing }
    this.#added.push(added)
    if (how === 'prependListener' || how === 'prependOnceListener') this.#client.prependListener(event, standing)
    else this.#client.on(event, standing)
  }

  /** Removes the listener that was added last for it. False if this holder has added none. */
  remove(event: string | symbol, listener: Listener): boolean {
    const added = this.#added.findLast((each) => each.event === event && each.standing.listener === listener)
    if (added) this.#remove(added)
    return added !== undefined
  }

  /** Forgets those that the emitter has removed: of one event, or of all. */
  forget(event: string | symbol | undefined): void {
    this.#added = event === undefined ? [] : this.#added.filter((each) => each.event !== event)
  }

  /** Removes all of them. */
  removeAll(): void {
    for (const { event, standing } of this.#added) this.#client.removeListener(event, standing)
    this.#added = []
  }

  #remove(added: Added): void {
    this.#added.splice(this.#added.indexOf(added), 1)
    this.#client.removeListener(added.event, added.standing)
  }
}
