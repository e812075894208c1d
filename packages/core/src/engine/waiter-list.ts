import type { AsyncResource } from 'node:async_hooks'
import type { Connection } from '../connection/connection.ts'
import type { LeaseTerms } from '../connection/lease.ts'
import type { SharedStatement } from '../multiplex/sharers.ts'
import { thisContext } from '../runtime/context.ts'

/** What a connection is asked for. */
export interface QueueTerms extends LeaseTerms {
  /** The read that is to be sent, if it may share a connection. */
  readonly sharedStatement?: SharedStatement | undefined
}

/** What waits for a connection. One of the two methods is called, once; `leased` possibly before `acquire` returns. */
export interface Waiter extends QueueTerms {
  leased(connection: Connection): void
  failed(error: Error): void
}

/** A waiter in the queue: a node of a doubly linked list, so that leaving costs the same from any place. */
export class QueueEntry<Waiting = Waiter> {
  readonly waiter: Waiting
  /** When its caller asked, and when it entered the queue: later, if its statement runs again. */
  readonly since: number
  readonly queuedAt: number
  /** Its deadline, which is the pool's or its own. */
  readonly until: number
  /** The async context of its caller. It is served while other code runs, and is told in its own context. */
  readonly context: AsyncResource = thisContext()
  /** Removes the listener of a signal, and the timer of a deadline of its own. */
  cancel: (() => void) | undefined = undefined
  /** Whether it needs a connection for itself, and one is on its way: see `Placement`. */
  hasClaim = false
  previous: QueueEntry<Waiting> | undefined = undefined
  next: QueueEntry<Waiting> | undefined = undefined

  constructor(waiter: Waiting, since: number, until: number, queuedAt: number = since) {
    this.waiter = waiter
    this.since = since
    this.queuedAt = queuedAt
    this.until = until
  }
}

/** The waiters, in order of arrival. */
export class WaiterList<Waiting = Waiter> {
  #first: QueueEntry<Waiting> | undefined
  #last: QueueEntry<Waiting> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): QueueEntry<Waiting> | undefined {
    return this.#first
  }

  get last(): QueueEntry<Waiting> | undefined {
    return this.#last
  }

  /** Adds an entry at the end. */
  append(entry: QueueEntry<Waiting>): void {
    entry.previous = this.#last
    if (this.#last) this.#last.next = entry
    else this.#first = entry
    this.#last = entry
    this.#size++
  }

  /** Adds an entry in front of all that wait for a shorter time. */
  insertByAge(entry: QueueEntry<Waiting>): void {
    let next = this.#first
    while (next && next.since <= entry.since) next = next.next
    if (!next) return this.append(entry)
    entry.next = next
    entry.previous = next.previous
    if (next.previous) next.previous.next = entry
    else this.#first = entry
    next.previous = entry
    this.#size++
  }

  /** Removes an entry, wherever it is. */
  remove(entry: QueueEntry<Waiting>): void {
    entry.cancel?.()
    if (entry.previous) entry.previous.next = entry.next
    else this.#first = entry.next
    if (entry.next) entry.next.previous = entry.previous
    else this.#last = entry.previous
    entry.previous = undefined
    entry.next = undefined
    this.#size--
  }

  /** Removes the first entry. */
  shift(): QueueEntry<Waiting> | undefined {
    const first = this.#first
    if (first) this.remove(first)
    return first
  }
}
