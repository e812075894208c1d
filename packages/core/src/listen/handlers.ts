import type { AsyncResource } from 'node:async_hooks'
import type { Notification } from 'pg'
import { thisContext } from '../runtime/context.ts'
import { warnOfListener } from '../telemetry/events.ts'

/** Is called with the payload of each notification; with pg's own form of it, too: its channel, and the pid of its sender. */
export type NotificationHandler = (payload: string, notification: Notification) => unknown

/** A time in which notifications may have been missed. */
export interface ListenGap {
  /** When the connection was last known to work. */
  readonly from: Date
  /** When the server listened again. */
  readonly to: Date
  /** Why the connection was lost. */
  readonly cause: unknown
}

/** One that listens to a channel. What it calls runs in the async context of its `listen()`. */
export class Handler {
  readonly channel: string
  /** Whether the server has listened for it: from then on it is told of gaps. */
  isListening = false
  readonly #handler: NotificationHandler
  readonly #onReconnect: ((gap: ListenGap) => unknown) | undefined
  readonly #context: AsyncResource = thisContext()

  constructor(channel: string, handler: NotificationHandler, onReconnect: ((gap: ListenGap) => unknown) | undefined) {
    this.channel = channel
    this.#handler = handler
    this.#onReconnect = onReconnect
  }

  tell(notification: Notification): void {
    this.#run(() => this.#handler(notification.payload ?? '', notification))
  }

  tellGap(gap: ListenGap): void {
    this.#run(() => this.#onReconnect?.(gap))
  }

  /** What it throws, or rejects with, costs a warning. */
  #run(call: () => unknown): void {
    const warn = (error: unknown): void => warnOfListener(`A handler of channel '${this.channel}' threw`, error)
    try {
      const result = this.#context.runInAsyncScope(call)
      if (result instanceof Promise) result.catch(warn)
    } catch (error) {
      warn(error)
    }
  }
}
