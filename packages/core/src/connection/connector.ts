import type { AsyncResource } from 'node:async_hooks'
import type { Duplex } from 'node:stream'
import pg, { type Client, type ClientConfig, type PoolClient } from 'pg'
import { truthIn } from '../commit/answer.ts'
import type { CommitSettings } from '../commit/settle.ts'
import { clarified, guardReading } from '../driver/guarded-reading.ts'
import { endOf, internalsOf, openSocketBy } from '../driver/internals.ts'
import { keepListeners } from '../driver/kept-listeners.ts'
import { rememberShapes } from '../driver/row-shape.ts'
import { checkedSockets, HAS_NODE_SOCKETS, makeSocket } from '../driver/socket.ts'
import { ConnectError, type Loss, noAnswer } from '../errors.ts'
import { hooksMillis } from '../policy/backoff.ts'
import { RESET_TIMEOUT_MILLIS } from '../policy/reset.ts'
import type { Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { afterPatience } from '../runtime/deadline.ts'
import { messageOf, toError } from '../thrown.ts'
import type { ClientOwner } from './client-owner.ts'
import { connectInAnyWay, type LoginKnown, refuseLateOpening } from './connecting.ts'
import { Connection, type ConnectionListener, type ConnectionSettings } from './connection.ts'
import { ask, ping } from './internal-query.ts'
import { Logins } from './logins.ts'
import { type LeasedClient, type PhysicalClientClass, physicalClientClass } from './physical-client.ts'

/** What the pool asks for itself, it asks for no longer than this, also where callers wait as long as it takes. */
const LONGEST_QUESTION_MILLIS = 60_000
const CLOSE_MILLIS = 1000

/** What it takes to open a connection. */
export interface ConnectorOptions {
  /** What the next client is made with: pg's own options, as they stand then. */
  readonly clientConfig: () => ClientConfig
  /** The user's client class; pg's own if absent. */
  readonly Client: typeof Client | undefined
  readonly connectionTimeoutMillis: number
  /** Told when a statement runs again by itself, in a session that was stale. */
  readonly onStatementRerun?: ((attempt: number, error: Error) => void) | undefined
  /** See `Endpoint`. */
  readonly hint?: string | undefined
  readonly queryTimeoutMillis: number
  readonly allowExitOnIdle: boolean
  /** Whether each lease has a client of its own. */
  readonly clientPerLease: boolean
  /** 0 leaves it to the server's configuration. */
  readonly clientConnectionCheckMillis: number
  readonly onConnect: ((client: PoolClient) => unknown) | undefined
  /** How to find out what became of a lost COMMIT; undefined if nobody wants to know. */
  readonly commits: CommitSettings | undefined
  readonly verify: ((client: PoolClient, done: (error?: Error) => void) => void) | undefined
}

type Password = (this: unknown, ...args: unknown[]) => string | Promise<string>

/** Makes connections, and opens them. */
export class Connector {
  readonly #options: ConnectorOptions
  readonly #clock: Clock
  readonly #clientClass: PhysicalClientClass
  readonly #settings: Omit<ConnectionSettings, keyof ConnectionListener>
  #lastId = 0

  /** @throws {OptionsError} if the client class can't be used. */
  constructor(options: ConnectorOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    this.#clientClass = physicalClientClass(options.Client)
    const { pipeline, stream } = options.clientConfig()
    this.#settings = {
      clock,
      endClient: endOf(Object.getPrototypeOf(this.#clientClass)),
      stream: typeof stream === 'function' ? checkedSockets(stream) : stream || undefined,
      pipelined: pipeline === true,
      hint: options.hint,
      queryTimeoutMillis: options.queryTimeoutMillis,
      allowExitOnIdle: options.allowExitOnIdle,
      clientPerLease: options.clientPerLease,
      // Where statements are sent before others are answered, or by other means than the driver's, nothing rides along.
      primary: {
        wasMet: false,
        isMissed: false,
        births: { epoch: 0, checkedAt: Number.NEGATIVE_INFINITY, isMissed: false },
      },
      prepared: { epoch: 0, onRerun: options.onStatementRerun },
      // And with one socket for all there is none to ask over.
      commits: pipeline || hasOwnQuery(options.Client) || typeof stream === 'object' ? undefined : options.commits,
    }
  }

  /**
   * Makes a connection that isn't open yet, on behalf of one caller if there is one. Its socket outlives whoever that is,
   * so it is made, and opened, in nobody's context.
   */
  make(listener: ConnectionListener, opener?: AsyncResource): Connection {
    const makeClient = (owner: ClientOwner): LeasedClient => {
      const client = new this.#clientClass(this.#clientConfig(opener), owner)
      guardReading(internalsOf(client).connection, (fault) => owner.markLost(fault))
      openSocketBy(client, inNoContext)
      this.#addStartupOptions(client)
      rememberShapes(client)
      return client
    }
    const connection = inNoContext(() => new Connection(++this.#lastId, makeClient, { ...this.#settings, ...listener }))
    const { connection: protocol } = internalsOf(connection.client)
    refuseLateOpening(protocol, () => !connection.isLost && !connection.isGone())
    return connection
  }

  /**
   * Connects, however long that takes: who begins it decides when it has taken too long.
   *
   * @throws {ConnectError} if the server can't be reached, or refuses.
   */
  async logIn(connection: Connection): Promise<void> {
    await this.#connect(connection)
    await this.#refuseStandby(connection)
  }

  /**
   * Has a connection that is logged in answer a ping: a pooler logs its clients in by itself, whether or not it has a server.
   *
   * @throws {ConnectError} if there is none.
   */
  async prove(connection: Connection): Promise<void> {
    await ping(connection, this.#clock, hooksMillis(this.#options.connectionTimeoutMillis))
    if (connection.loss) throw new ConnectError(connection.endpoint, connection.loss.cause)
  }

  /**
   * Runs the user's hooks with a connection that is logged in, for as long as they may take.
   *
   * @throws {ConnectError} if that is too long. What a hook throws goes through untouched.
   */
  async runHooks(connection: Connection): Promise<void> {
    const { onConnect, verify, connectionTimeoutMillis } = this.#options
    const { client } = connection
    if (onConnect || verify)
      await this.#bounded(connection, hooksMillis(connectionTimeoutMillis), async () => {
        await onConnect?.(client)
        if (verify)
          await new Promise<void>((resolve, reject) => verify(client, (error) => (error ? reject(error) : resolve())))
      })
    connection.liveness.answered(this.#clock.now(), connection.liveness.mark)
  }

  /**
   * Opens a connection for the pool's own questions: beside its slots, unseen by the user's hooks. Whoever asks for it
   * closes it.
   *
   * @throws {ConnectError} if the server can't be reached, or refuses.
   */
  async openAside(): Promise<Connection> {
    const drop = (connection: Connection, cause: Error): void => void connection.close(CLOSE_MILLIS, cause)
    const logins = new Logins({
      clock: this.#clock,
      deadlineMillis: Math.min(this.#options.connectionTimeoutMillis, LONGEST_QUESTION_MILLIS),
      maySpareOne: true,
      make: () => this.make({ onLost: () => {}, onReleased: () => {} }),
      logIn: (connection) => {
        // Whoever waits for its answers keeps the process alive by itself.
        connection.client.unref()
        return this.#connect(connection)
      },
      isWanted: () => true,
      onSpare: () => {},
      onDropped: drop,
      onFailure: () => {},
      onLoggedIn: ({ client }) => client.unref(), // TLS has replaced the socket.
    })
    let last: Connection | undefined
    try {
      return (await logins.logIn((connection) => {
        last = connection
      })) as Connection
    } catch (error) {
      if (last) drop(last, error as Error)
      throw error
    }
  }

  async #connect(connection: Connection): Promise<void> {
    const { client } = connection
    const login: LoginKnown = {
      clock: this.#clock,
      patienceMillis: Math.min(this.#options.connectionTimeoutMillis, LONGEST_QUESTION_MILLIS),
      isDone: () => internalsOf(client).readyForQuery === true,
      onDone: (callback) => client.once('connect', callback),
    }
    await connectInAnyWay(client, login).catch((error: unknown) => {
      throw new ConnectError(connection.endpoint, tellingOf(error, connection.loss))
    })
    const protocol = internalsOf(client).connection
    const { stream } = protocol // Not before: TLS replaces the socket.
    keepListeners(protocol, protocol.eventNames())
    // Not what reads: COPY takes the socket's data over for a while.
    keepListeners(stream, ['error', 'close'])
  }

  /** A pooler may greet with what was true of its server long ago, so the server itself is asked before it is refused. */
  async #refuseStandby(connection: Connection): Promise<void> {
    const { objection } = connection.serverRole
    if (!objection) return
    const inRecovery = 'select pg_catalog.pg_is_in_recovery()::text as answer'
    const [row] = await ask(connection, inRecovery, this.#clock, RESET_TIMEOUT_MILLIS)
    // What says neither leaves it at what it has said by itself.
    if (truthIn(row?.answer) !== false) throw new ConnectError(connection.endpoint, objection)
    connection.serverRole.note(false)
  }

  /** Does again what a reset of the session has undone: what `onConnect` has set. */
  async replayHook(connection: Connection): Promise<void> {
    await this.#options.onConnect?.(connection.client)
  }

  /** With sockets of ours, unless the user makes them. */
  #clientConfig(opener: AsyncResource | undefined): ClientConfig {
    const config = this.#options.clientConfig()
    const { password, stream } = config
    const ask = typeof password === 'function' ? rejectingProperly(password) : undefined
    const isOurs = HAS_NODE_SOCKETS && stream === undefined
    return {
      ...config,
      ...(isOurs && { stream: makeSocket as () => Duplex }),
      ...(typeof stream === 'function' && { stream: checkedSockets(stream) as () => Duplex }),
      ...(ask && { password: opener ? askedIn(opener, ask) : ask }),
    }
  }

  /** Beside the user's own, wherever they come from: the driver has put them together by now. */
  #addStartupOptions(client: LeasedClient): void {
    const { clientConnectionCheckMillis: check } = this.#options
    if (check === 0) return
    const parameters = internalsOf(client).connectionParameters
    parameters.options = `${parameters.options ?? ''} -c client_connection_check_interval=${check}`.trim()
  }

  #bounded(connection: Connection, millis: number, run: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = afterPatience(this.#clock, millis, 'nothing', () => {
        reject(new ConnectError(connection.endpoint, noAnswer(millis)))
        connection.destroy()
      })
      run().then(resolve, reject).finally(cancel)
    })
  }
}

/** The driver asks for the password when the server does: in the context of the socket. */
function askedIn(opener: AsyncResource, password: Password): Password {
  return function (this: unknown, ...args) {
    return opener.runInAsyncScope(password, this, ...args)
  }
}

/** The driver takes "nothing" for no error, and goes on without a password. */
function rejectingProperly(password: Password): Password {
  return async function (this: unknown, ...args) {
    try {
      return await password.apply(this, args)
    } catch (error) {
      throw toError(error)
    }
  }
}

/** Whether a class of the user's has a way of its own to send statements. */
function hasOwnQuery(base: typeof Client | undefined): boolean {
  return base !== undefined && base.prototype.query !== pg.Client.prototype.query
}

/** What the driver has emitted before tells more than the end that followed from it. */
function tellingOf(error: unknown, loss: Loss | undefined): unknown {
  const isMereEnd = messageOf(error) === 'Connection terminated unexpectedly'
  return isMereEnd && loss ? loss.cause : clarified(error)
}
