import type { AsyncResource } from 'node:async_hooks'
import { thisContext } from '../runtime/context.ts'

/** A caller in line, and its place: a node of a doubly linked list, so that leaving costs the same from anywhere. */
export class Waiter<Caller> {
  readonly caller: Caller
  readonly since: number
  /** When its patience ends, by its own deadline or the pool's. */
  readonly until: number
  /** Where it joined: it is served, or refused, in somebody else's time, and shall hear of that in its own context. */
  readonly context: AsyncResource = thisContext()
  /** Takes back what would have it leave by itself: a signal's listener, a timer of its own. */
  cancel: (() => void) | undefined = undefined
  previous: Waiter<Caller> | undefined = undefined
  next: Waiter<Caller> | undefined = undefined

  constructor(caller: Caller, since: number, until: number) {
    this.caller = caller
    this.since = since
    this.until = until
  }
}

/** Who waits for a connection, in order of arrival. */
export class WaiterList<Caller> {
  #first: Waiter<Caller> | undefined
  #last: Waiter<Caller> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): Waiter<Caller> | undefined {
    return this.#first
  }

  get last(): Waiter<Caller> | undefined {
    return this.#last
  }

  /** Joins the end of the line. */
  join(waiter: Waiter<Caller>): void {
    waiter.previous = this.#last
    if (this.#last) this.#last.next = waiter
    else this.#first = waiter
    this.#last = waiter
    this.#size++
  }

  /** Joins in front of all who came later. */
  rejoin(waiter: Waiter<Caller>): void {
    let next = this.#first
    while (next && next.since <= waiter.since) next = next.next
    if (!next) return this.join(waiter)
    waiter.next = next
    waiter.previous = next.previous
    if (next.previous) next.previous.next = waiter
    else this.#first = waiter
    next.previous = waiter
    this.#size++
  }

  /** Leaves the line, from whichever place. */
  leave(waiter: Waiter<Caller>): void {
    waiter.cancel?.()
    if (waiter.previous) waiter.previous.next = waiter.next
    else this.#first = waiter.next
    if (waiter.next) waiter.next.previous = waiter.previous
    else this.#last = waiter.previous
    waiter.previous = undefined
    waiter.next = undefined
    this.#size--
  }

  /** Takes the first out of the line. */
  shift(): Waiter<Caller> | undefined {
    const first = this.#first
    if (first) this.leave(first)
    return first
  }
}
