import type { Notification } from 'pg'
import type { Connection } from '../connection/connection.ts'
import { ping } from '../connection/internal-query.ts'
import { runInternal } from '../connection/question.ts'
import { INTERNAL_QUERY_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { type ConnectionInspection, inspectionOf } from '../telemetry/status.ts'

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
  /**
   * When the last question was sent that the server has answered, in milliseconds since 1970. Before it answers, it tells what was
   * notified until then; of what comes later, some may be on its way, even if a notification has arrived.
   */
  aliveAt: number

  constructor(connection: Connection, clock: Clock, onNotification: (notification: Notification) => void) {
    this.#connection = connection
    this.#clock = clock
    this.aliveAt = clock.wall()
    connection.openedAt = clock.now()
    connection.client.on('notification', onNotification)
    this.#cancelPing = this.#pingLater()
  }

  get isLost(): boolean {
    return this.#connection.isLost
  }

  leadsTo({ host, port }: { readonly host: string; readonly port: number }): boolean {
    const { endpoint } = this.#connection
    return endpoint.host === host && endpoint.port === port
  }

  /** What `pool.inspect()` shows of it. */
  inspect(now: number): ConnectionInspection {
    const channels = Object.freeze([...this.#channels.keys()])
    return Object.freeze({ ...inspectionOf(this.#connection, now), state: 'listening' as const, channels })
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
    const sentAt = this.#clock.wall()
    await runInternal(this.#connection, sql, this.#clock, INTERNAL_QUERY_TIMEOUT_MILLIS)
    this.aliveAt = sentAt
  }

  #pingLater(): Cancel {
    return this.#clock.schedule(PING_EVERY_MILLIS, () => void this.#ping(), 'nothing')
  }

  async #ping(): Promise<void> {
    const sentAt = this.#clock.wall()
    await ping(this.#connection, this.#clock, PING_TIMEOUT_MILLIS)
    if (this.isLost || this.#connection.isGone()) return
    this.aliveAt = sentAt
    this.#cancelPing = this.#pingLater()
  }
}

/** As an identifier of SQL. */
function quoted(channel: string): string {
  return `"${channel.replaceAll('"', '""')}"`
}
