import type { Hears, Subscriber } from './events.ts'

/** A subscriber, and what it cares for. */
export interface Listener {
  readonly subscriber: Subscriber
  readonly hears: Hears
}
