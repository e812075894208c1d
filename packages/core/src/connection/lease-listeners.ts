import type { EventEmitter } from 'node:events'

/** The methods of an emitter that add a listener. */
export type Listening = 'on' | 'once' | 'prependListener' | 'prependOnceListener'

// biome-ignore lint/suspicious/noExplicitAny: the arguments of any event.
type Listener = (...all: any[]) => void

/** What the emitter calls. Node finds the caller's own function in `listener`, to list or remove it. */
type Wrapper = Listener & { readonly listener: Listener }

interface Added {
  readonly event: string | symbol
  readonly wrapper: Wrapper
}

/**
 * The listeners that one caller has added to a client. They are removed when the next lease begins: later events don't
 * concern this caller, and the listeners of all leases would accumulate.
 */
export class LeaseListeners {
  #client: EventEmitter
  #added: Added[] = []
  /** Events that wait until it is clear whether they concern the caller. */
  #held: (() => void)[] | undefined

  constructor(client: EventEmitter) {
    this.#client = client
  }

  /** Adds a listener, which is called with the caller's own client as `this`. */
  add(how: Listening, event: string | symbol, listener: Listener, leasedClient: object): void {
    const isOnce = how === 'once' || how === 'prependOnceListener'
    const wrapper: Wrapper = Object.assign(
      (...all: unknown[]) => {
        const tell = (): void => {
          if (isOnce) this.#remove(added)
          Reflect.apply(listener, leasedClient, all)
        }
        if (this.#held) this.#held.push(tell)
        else tell()
      },
      { listener },
    )
    const added = { event, wrapper }
    this.#added.push(added)
    if (how === 'prependListener' || how === 'prependOnceListener') this.#client.prependListener(event, wrapper)
    else this.#client.on(event, wrapper)
  }

  /** Removes the latest addition of this listener. False if this caller hasn't added it. */
  remove(event: string | symbol, listener: Listener): boolean {
    const added = this.#added.findLast((each) => each.event === event && each.wrapper.listener === listener)
    if (added) this.#remove(added)
    return added !== undefined
  }

  /** Forgets listeners that the emitter has removed: those of one event, or all. */
  forget(event: string | symbol | undefined): void {
    this.#added = event === undefined ? [] : this.#added.filter((each) => each.event !== event)
  }

  /** Removes all of them. */
  removeAll(): void {
    for (const { event, wrapper } of this.#added) this.#client.removeListener(event, wrapper)
    this.#added = []
  }

  /** Holds all events back: the connection is lost, and the lease may move to another one. */
  hold(): void {
    this.#held ??= []
  }

  /** The lease stays where it is: tells what was held back. */
  resume(): void {
    const held = this.#held
    this.#held = undefined
    for (const tell of held ?? []) tell()
  }

  /** The lease has moved to another connection: the end of the old one doesn't concern the caller. */
  moveTo(client: EventEmitter): void {
    this.#held = undefined
    for (const { event, wrapper } of this.#added) {
      this.#client.removeListener(event, wrapper)
      client.on(event, wrapper)
    }
    this.#client = client
  }

  #remove(added: Added): void {
    this.#added.splice(this.#added.indexOf(added), 1)
    this.#client.removeListener(added.event, added.wrapper)
  }
}
