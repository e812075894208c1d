import type { Operation } from '../workload/operation.ts'
import type { Message } from './messages.ts'

const READS_WAIT_MILLIS = 100

/**
 * Sends every outcome to the storm. An acknowledged write is sent in the same tick, so that a crash in the next tick can't lose it.
 * Reads, which are not checked later, are sent in batches.
 */
export class Outbox {
  #operations: Operation[] = []

  constructor() {
    setInterval(() => this.#flush(), READS_WAIT_MILLIS).unref()
  }

  /** Takes the outcome of an operation. */
  add(operation: Operation): void {
    this.#operations.push(operation)
    if (operation.kind !== 'read') this.#flush()
  }

  /** Sends a message after all outcomes so far. */
  send(message: Message): void {
    this.#flush()
    post(message)
  }

  #flush(): void {
    if (this.#operations.length === 0) return
    post({ type: 'operations', operations: this.#operations })
    this.#operations = []
  }
}

function post(message: Message): void {
  // Without a channel the storm is gone, and no process needs the message.
  if (process.connected) process.send?.(message)
}
