import type { Notification } from 'pg'
import type { Connection } from '../connection/connection.ts'
import { ping } from '../connection/internal-query.ts'
import { runInternal } from '../connection/question.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'

/** How often a connection that listens is pinged, and how long it may take to answer, in milliseconds. */
const PING_EVERY_MILLIS = 5000
const PING_TIMEOUT_MILLIS = 3000
const CLOSE_MILLIS = 1000

/** The session that listens. Nothing tells that a silent one is dead, so it is pinged. */
export class ListenSession {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #channels = new Map<string, Promise<unknown>>()
  #cancelPing: Cancel
  /** When it was last known to work, in milliseconds since 1970. */
  aliveAt: number

  constructor(connection: Connection, clock: Clock, onNotification: (notification: Notification) => void) {
    this.#connection = connection
    this.#clock = clock
    this.aliveAt = clock.wall()
    connection.client.on('notification', (notification) => {
      this.aliveAt = clock.wall()
      onNotification(notification)
    })
    this.#cancelPing = this.#pingLater()
  }

  get isLost(): boolean {
    return this.#connection.isLost
  }

  /** Listens to a channel, once. */
  listen(channel: string): Promise<unknown> {
    const listening = this.#channels.get(channel) ?? this.#send(`LISTEN ${quoted(channel)}`)
    this.#channels.set(channel, listening)
    listening.catch(() => this.#channels.delete(channel))
    return listening
  }

  /** Rejects if the session was lost: then the server listens no more, either. */
  unlisten(channel: string): Promise<unknown> {
    this.#channels.delete(channel)
    return this.#send(`UNLISTEN ${quoted(channel)}`)
  }

  /** Closes it; it must not be used after that. */
  close(): Promise<void> {
    this.#cancelPing()
    return this.#connection.close(CLOSE_MILLIS, undefined)
  }

  /** Leaves the socket open for another process that has it. */
  abandon(): Promise<void> {
    this.#cancelPing()
    return this.#connection.abandon(undefined)
  }

  async #send(sql: string): Promise<void> {
    await runInternal(this.#connection, sql, this.#clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
    this.aliveAt = this.#clock.wall()
  }

  #pingLater(): Cancel {
    return this.#clock.schedule(PING_EVERY_MILLIS, () => void this.#ping(), 'nothing')
  }

  async #ping(): Promise<void> {
    await ping(this.#connection, this.#clock, PING_TIMEOUT_MILLIS)
    if (this.isLost || this.#connection.isGone()) return
    this.aliveAt = this.#clock.wall()
    this.#cancelPing = this.#pingLater()
  }
}

/** As an identifier of SQL. */
function quoted(channel: string): string {
  return `"${channel.replaceAll('"', '""')}"`
}
