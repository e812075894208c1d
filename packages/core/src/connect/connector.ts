import type { AsyncResource } from 'node:async_hooks'
import type { Duplex } from 'node:stream'
import type { Client, ClientConfig, PoolClient } from 'pg'
import type { CommitSettings } from '../commit/settle.ts'
import type { ClientOwner } from '../connection/client-owner.ts'
import { Connection, type ConnectionListener } from '../connection/connection.ts'
import type { ConnectionSettings } from '../connection/connection-settings.ts'
import { ping } from '../connection/internal-query.ts'
import { type LeasedClient, type PhysicalClientClass, physicalClientClass } from '../connection/physical-client.ts'
import { type KnownPrimary, unknownPrimary } from '../connection/server-role.ts'
import { AutomaticNames } from '../driver/automatic-names.ts'
import { FrequentTexts, type PrepareSettings, type PrepareStopped } from '../driver/frequent-texts.ts'
import { clarified, guardClient } from '../driver/guarded-reading.ts'
import { endOf } from '../driver/internals.ts'
import { KnownPooler } from '../driver/known-pooler.ts'
import { openSocketBy, refuseLateOpening } from '../driver/login-progress.ts'
import { rememberShapes } from '../driver/row-shape.ts'
import { DriverSession } from '../driver/session.ts'
import { checkedSockets, HAS_NODE_SOCKETS, makeSocket } from '../driver/socket.ts'
import { ConnectError, type Loss, noAnswer } from '../errors.ts'
import { type Candidate, type Host, leadingTo } from '../options/hosts.ts'
import { hooksMillis } from '../policy/backoff.ts'
import { CONNECTION_CHECK, refusedParameterHint } from '../policy/startup-parameter.ts'
import { afterPatience, type Clock } from '../runtime/clock.ts'
import { inNoContext } from '../runtime/context.ts'
import { messageOf } from '../thrown.ts'
import { connectInAnyWay, hasOwnQuery, type LoginKnown } from '../user-client.ts'
import { checkRole, type FormerPrimary, type HostChange, takeHost } from './host-check.ts'
import type { HostList } from './host-list.ts'
import { identify, type WatchOfPool } from './identify.ts'
import { openAside } from './open-aside.ts'
import { passwordFor } from './password.ts'

/** The pool's own questions take no longer than this, even if callers wait without a limit. */
const LONGEST_QUESTION_MILLIS = 60_000

/** For a connection beside the pool: what happens to it is not reported. */
const NO_LISTENER: ConnectionListener = { onLost: () => {}, onReleased: () => {}, onFirstFailed: () => false }

/** What opening connections takes. */
export interface ConnectorOptions {
  /** What the next client is made with: pg's own options, as they are then. */
  readonly clientConfig: () => ClientConfig
  /** The user's client class; undefined for pg's own. */
  readonly Client: typeof Client | undefined
  readonly connectionTimeoutMillis: number
  /** The hosts that it looks for one that suits; undefined if there is a single one, in any role. */
  readonly hosts?: HostList | undefined
  /** What is known of a pooler in front of the server; by default nothing. */
  readonly pooler?: KnownPooler | undefined
  /** For a pool of replicas: why this server lags too far behind the primary; undefined if it doesn't. */
  readonly lagOf?: ((connection: Connection) => Promise<Error | undefined>) | undefined
  /** Called when connections lead to another host than before. */
  readonly onHostChanged?: ((change: HostChange) => void) | undefined
  /** Called once, when a standby has refused a write, and any host suits. */
  readonly onRefusedByStandby?: ((host: Host) => void) | undefined
  /** Called when a host takes writes, although another one was promoted. */
  readonly onFormerPrimary?: ((former: FormerPrimary) => void) | undefined
  /** Called when a stale prepared statement is run again. */
  readonly onStatementRerun?: ((attempt: number, error: Error) => void) | undefined
  /** What the pool itself prepares; false if nothing. */
  readonly prepare?: PrepareSettings | false
  /** Counts the statements that are sent under such a name. */
  readonly counts?: { prepared: number } | undefined
  /** Called when a text that the pool itself prepares is no longer prepared. */
  readonly onPrepareStopped?: ((stopped: PrepareStopped) => void) | undefined
  /** See `Endpoint`. */
  readonly hint?: string | undefined
  readonly queryTimeoutMillis: number
  readonly allowExitOnIdle: boolean
  /** Whether each lease has a client of its own. */
  readonly clientPerLease: boolean
  readonly transactionalWrites: boolean
  /** How often the server looks for this process while it runs a statement; 0 leaves it to the server's configuration. */
  readonly clientConnectionCheckMillis: number
  /** Whether that isn't sent at start-up, which a pooler may refuse, but with the watch's question to a new session. */
  readonly isConnectionCheckAsked?: boolean | undefined
  readonly onConnect: ((client: PoolClient) => unknown) | undefined
  /** The watch over silent statements; undefined if the pool has none. */
  readonly watch?: WatchOfPool | undefined
  /** How to find out what became of a lost COMMIT; undefined if the pool doesn't resolve them. */
  readonly commits: CommitSettings | undefined
  readonly verify: ((client: PoolClient, done: (error?: Error) => void) => void) | undefined
}

/** Makes connections, and opens them. */
export class Connector {
  readonly #options: ConnectorOptions
  readonly #clock: Clock
  readonly #clientClass: PhysicalClientClass
  readonly #settings: ConnectionSettings
  /** How long the pool's own questions, and a class that has logged in, may take. */
  readonly #patienceMillis: number
  /** Whether the driver sends all statements, one at a time, so that the pool may send one earlier. */
  readonly mayPipeline: boolean
  /** What is known of a pooler in front of the server. */
  readonly pooler: KnownPooler
  #lastId = 0

  /** @throws {OptionsError} if the client class can't be used. */
  constructor(options: ConnectorOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    this.pooler = options.pooler ?? new KnownPooler()
    this.#clientClass = physicalClientClass(options.Client)
    this.#patienceMillis = Math.min(options.connectionTimeoutMillis, LONGEST_QUESTION_MILLIS)
    const { pipeline, stream } = options.clientConfig()
    this.mayPipeline = !pipeline && !(options.Client && hasOwnQuery(options.Client))
    // A tracker of transaction ids needs the same of the driver. And resolving a lost COMMIT takes a second socket.
    const isTrackable = this.mayPipeline && typeof stream !== 'object'
    this.#settings = {
      clock,
      endClient: endOf(Object.getPrototypeOf(this.#clientClass)),
      stream: typeof stream === 'function' ? checkedSockets(stream) : stream || undefined,
      pipelined: pipeline === true,
      hint: options.hint,
      queryTimeoutMillis: options.queryTimeoutMillis,
      allowExitOnIdle: options.allowExitOnIdle,
      clientPerLease: options.clientPerLease,
      enclosesWrites: options.transactionalWrites,
      primary: this.#knownPrimary(),
      pooler: this.pooler,
      prepared: {
        epoch: 0,
        onRerun: options.onStatementRerun,
        frequent: options.prepare
          ? new FrequentTexts(options.prepare, clock, (stopped) => options.onPrepareStopped?.(stopped), options.counts)
          : undefined,
      },
      commits: isTrackable ? options.commits : undefined,
      watch: isTrackable ? options.watch : undefined,
    }
  }

  /**
   * Makes a connection that isn't open: to this host, on behalf of one caller, if there are these. Its socket outlives this
   * caller, so it is made and opened outside of every async context.
   */
  make(listener: ConnectionListener, opener?: AsyncResource, candidate?: Candidate): Connection {
    const makeClient = (owner: ClientOwner): LeasedClient => {
      const client = new this.#clientClass(this.#clientConfig(opener, candidate?.host), owner)
      // In a connection string the driver finds no function.
      if (typeof candidate?.host.password === 'function')
        client.password = passwordFor(opener, candidate.host.password) as unknown as string
      guardClient(client, (fault) => owner.markLost(fault))
      openSocketBy(client, inNoContext)
      this.#addStartupOptions(client)
      rememberShapes(client)
      return client
    }
    const connection = inNoContext(() => new Connection(++this.#lastId, makeClient, this.#settings, listener))
    connection.candidate = candidate
    const { prepared, pipelined } = this.#settings
    // In a pipeline other statements have been sent behind, so that a stale one can't be run again.
    if (prepared.frequent && !pipelined) new AutomaticNames(connection, prepared.frequent, prepared)
    refuseLateOpening(connection.client, () => !connection.isLost && !connection.isGone())
    return connection
  }

  /**
   * Connects, without a time limit: the caller decides when it has taken too long. Resolves with true if a ping was answered: where a
   * pooler is known, a greeting proves nothing.
   *
   * @throws {ConnectError} if the server can't be reached, or refuses.
   */
  async logIn(connection: Connection): Promise<boolean> {
    const { hosts, onHostChanged, onFormerPrimary } = this.#options
    try {
      const isPinged = await this.#logIn(connection)
      const change = hosts && (await takeHost(connection, hosts, this.#clock, (former) => onFormerPrimary?.(former)))
      if (change) onHostChanged?.(change)
      return isPinged
    } catch (error) {
      if (connection.candidate) hosts?.noteFailure(connection.candidate.host, error)
      throw error
    }
  }

  async #logIn(connection: Connection): Promise<boolean> {
    await this.#connect(connection)
    const isPinged = this.pooler.isThere
    if (isPinged) await this.prove(connection)
    await checkRole(connection, {
      clock: this.#clock,
      patienceMillis: this.#patienceMillis,
      hosts: this.#options.hosts,
      isBehindPooler: this.pooler.isThere,
    })
    const lag = await this.#options.lagOf?.(connection)
    if (lag) throw new ConnectError(connection.endpoint, lag)
    connection.serverRole.begin()
    const { watch, isConnectionCheckAsked, clientConnectionCheckMillis } = this.#options
    if (!watch || !this.#settings.watch) return isPinged
    const checkMillis = isConnectionCheckAsked ? clientConnectionCheckMillis : 0
    await identify(connection, { watch, clock: this.#clock, millis: LONGEST_QUESTION_MILLIS, checkMillis })
    return isPinged
  }

  /**
   * Pings over a connection that is logged in: a pooler accepts logins even if it has no server, or none that is free. So the
   * ping is a part of the login, which isn't cut off when a caller's deadline passes.
   *
   * @throws {ConnectError} if there is no answer.
   */
  async prove(connection: Connection): Promise<void> {
    const startedAt = this.#clock.now()
    await ping(connection, this.#clock, LONGEST_QUESTION_MILLIS)
    const { loss } = connection
    if (!loss) return
    const tookMillis = this.#clock.now() - startedAt
    const cause = tookMillis < LONGEST_QUESTION_MILLIS ? loss.cause : noAnswer(tookMillis)
    throw new ConnectError(connection.endpoint, cause)
  }

  /**
   * Runs the user's hooks with a connection that is logged in.
   *
   * @throws {ConnectError} if they take too long. An error of a hook is passed on unchanged.
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
    connection.liveness.answered(this.#clock.now(), connection.liveness.epoch)
  }

  /** Runs the user's `onConnect` again, after a reset has undone what it had set. */
  async replayHook(connection: Connection): Promise<void> {
    await this.#options.onConnect?.(connection.client)
  }

  /** The hosts of the pool, if it looks for one that suits. */
  get hosts(): HostList | undefined {
    return this.#options.hosts
  }

  /**
   * Opens a connection for the pool's own questions, to this host, if there are several: see `openAside`.
   *
   * @throws {ConnectError} if the server can't be reached, or refuses.
   */
  openAside(host?: Host): Promise<Connection> {
    const candidate = host && { host, isLastChoice: true }
    return openAside({
      clock: this.#clock,
      deadlineMillis: this.#patienceMillis,
      make: () => this.make(NO_LISTENER, undefined, candidate),
      connect: (connection) => this.#connect(connection),
    })
  }

  /**
   * Opens a connection beside the pool's that stays open, to a host that suits, and tells of its loss. The caller closes it.
   *
   * @throws {ConnectError} if the server can't be reached, or refuses.
   */
  openBeside(onLost: ConnectionListener['onLost']): Promise<Connection> {
    return openAside({
      clock: this.#clock,
      deadlineMillis: this.#patienceMillis,
      hosts: this.#options.hosts,
      make: (candidate) => this.make({ ...NO_LISTENER, onLost }, undefined, candidate),
      connect: async (connection) => void (await this.logIn(connection)),
    })
  }

  async #connect(connection: Connection): Promise<void> {
    const { client, session } = connection
    const login: LoginKnown = {
      clock: this.#clock,
      patienceMillis: this.#patienceMillis,
      isDone: () => session.isReady,
      onDone: (callback) => client.once('connect', callback),
    }
    await connectInAnyWay(client, login).catch((error: unknown) => {
      const cause = causeOf(error, connection.loss)
      const hint = refusedParameterHint(cause, session.startupOptions)
      throw new ConnectError(hint === undefined ? connection.endpoint : { ...connection.endpoint, hint }, cause)
    })
    session.keepDriverListeners()
  }

  #knownPrimary(): KnownPrimary {
    const { hosts, onRefusedByStandby } = this.#options
    const primary = unknownPrimary()
    if (hosts?.target !== 'any') return primary
    primary.onRefusedByStandby = () => {
      primary.onRefusedByStandby = undefined
      if (hosts.current) onRefusedByStandby?.(hosts.current)
    }
    return primary
  }

  /** The user's options, with sockets of ours unless the user makes them. */
  #clientConfig(opener: AsyncResource | undefined, host: Host | undefined): ClientConfig {
    const given = this.#options.clientConfig()
    const config = host ? leadingTo(given, host) : given
    const { password, stream } = config
    const isOurs = HAS_NODE_SOCKETS && stream === undefined
    return {
      ...config,
      ...(isOurs && { stream: makeSocket as () => Duplex }),
      ...(typeof stream === 'function' && { stream: checkedSockets(stream) as () => Duplex }),
      ...(typeof password === 'function' && { password: passwordFor(opener, password) }),
    }
  }

  /** Adds to the user's own options, which the driver has collected from the config and the environment by now. */
  #addStartupOptions(client: LeasedClient): void {
    const { clientConnectionCheckMillis: check, isConnectionCheckAsked } = this.#options
    if (check === 0 || isConnectionCheckAsked) return
    const session = new DriverSession(client)
    session.startupOptions = `${session.startupOptions} -c ${CONNECTION_CHECK}=${check}`.trim()
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

/** What the driver has emitted before says more than the end of the connection that followed from it. */
function causeOf(error: unknown, loss: Loss | undefined): unknown {
  const isMereEnd = messageOf(error) === 'Connection terminated unexpectedly'
  return isMereEnd && loss ? loss.cause : clarified(error)
}
