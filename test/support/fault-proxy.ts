import { once } from 'node:events'
import net from 'node:net'
import { type Deferred, deferred } from './deferred.ts'
import { FaultProxyError } from './errors.ts'
import type { Direction } from './frames.ts'
import { isPortTaken, listen, listenOnFreePort } from './free-port.ts'
import { type Address, type CutInsideRecordOptions, type CutOptions, type Directions, Link } from './link.ts'
import type { CutKind } from './treatment.ts'
import { configThrough, urlThrough } from './way-through.ts'

/** Some of a proxy's links: these ones, or those that satisfy a condition. */
export type LinkSelection = readonly Link[] | ((link: Link) => boolean)

/** Which links an act is for. */
export interface Selection {
  /** @default all that are there */
  readonly links?: LinkSelection
}

/** Options of {@link FaultProxy.swallow}. */
export interface SwallowOptions extends Selection {
  /** @default 'both' */
  readonly direction?: Directions
  /**
   * `existing` is a firewall that forgot its flows; `new` one that accepts no connections any more; `all` an unplugged cable.
   *
   * @default 'existing' if `links` are given, else 'all'
   */
  readonly connections?: 'existing' | 'new' | 'all'
}

/**
 * A TCP proxy on the loopback interface that breaks connections on request, in every way in which networks do. It
 * does not decrypt: a client's TLS goes through to the server, whose certificate it verifies as usual.
 *
 * An act without `links` is for all connections; {@link delay} and {@link swallow} then are for future ones as well.
 * Everything takes effect before the call returns.
 *
 * ```ts
 * await using cluster = await Cluster.start()
 * await using proxy = await FaultProxy.start(cluster)
 * const client = new pg.Client(proxy.config(cluster.config()))
 * await client.connect()
 * proxy.cut('rst')
 * ```
 */
export class FaultProxy implements AsyncDisposable {
  /** The loopback address. */
  readonly host = '127.0.0.1'
  /** The same for the whole life of the proxy. */
  readonly port: number

  readonly #links = new Set<Link>()
  readonly #waiters = new Set<Deferred<Link>>()
  readonly #listeners = new Set<(link: Link) => void>()
  #target: Address
  #server: net.Server | undefined
  #listening: Deferred<void> | undefined
  #refusal: NodeJS.Timeout | undefined
  #accepted = 0
  #delayOfNewLinks = 0
  #deadDirectionsOfNewLinks: Directions | undefined
  #isClosed = false

  private constructor(target: Address, server: net.Server, port: number) {
    this.#target = target
    this.port = port
    this.#adopt(server)
  }

  /** Makes a proxy in front of a server, which need not run. A {@link Cluster} can be the address. */
  static async start({ host, port }: Address): Promise<FaultProxy> {
    const server = newServer()
    return new FaultProxy({ host, port }, server, await listenOnFreePort(server))
  }

  /** The connections through this proxy of which at least one half is left, oldest first. */
  get links(): readonly Link[] {
    return [...this.#links]
  }

  /** How many connections clients have through this proxy, dead ones included. */
  get connections(): number {
    return this.links.filter((link) => link.isOpen).length
  }

  /** How many connections were ever accepted. */
  get accepted(): number {
    return this.#accepted
  }

  /** Whether new connections are accepted, as opposed to refused. */
  get isListening(): boolean {
    return this.#server !== undefined
  }

  /** A copy of a pg configuration that leads through this proxy, by `host` and `port` or by `connectionString`. */
  config<Config extends object>(config: Config): Config & Address {
    return configThrough(this, config)
  }

  /** The same URL, leading through this proxy. */
  url(url: string): string {
    return urlThrough(this, url)
  }

  /** From now on, new connections go to another server, as when a DNS name or a virtual address moves. */
  retarget({ host, port }: Address): void {
    this.#target = { host, port }
  }

  /**
   * The next connection that a client opens. Not one byte has passed when this resolves: what is done to the link
   * right then is done from its beginning. Call it before the client connects.
   *
   * @throws {FaultProxyError} when the proxy is disposed of before.
   */
  nextLink(): Promise<Link> {
    const next = deferred<Link>()
    if (this.#isClosed) next.reject(closedError())
    else this.#waiters.add(next)
    return next.promise
  }

  /** Calls the listener with every new link, before its first byte passes. Returns what unsubscribes it. */
  onLink(listener: (link: Link) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Slows everything down, each way; see {@link Link.delay}. */
  delay(millis: number, selection: Selection = {}): void {
    if (!selection.links) this.#delayOfNewLinks = millis
    for (const link of this.#select(selection)) link.delay(millis)
  }

  /**
   * Makes black holes; see {@link Link.swallow}. New connections are accepted and never answered; unless only the way
   * `to-client` is blocked, the server does not learn of them.
   */
  swallow(options: SwallowOptions = {}): void {
    const { direction = 'both', connections = options.links ? 'existing' : 'all' } = options
    if (connections !== 'existing') this.#deadDirectionsOfNewLinks = direction
    if (connections === 'new') return
    for (const link of this.#select(options)) link.swallow(direction)
  }

  /** Ends connections; see {@link Link.cut}. */
  cut(kind: CutKind, options: CutOptions & Selection = {}): void {
    for (const link of this.#select(options)) link.cut(kind, options)
  }

  /** Corrupts the next record of each link; see {@link Link.corrupt}. Resolves with those that were hit. */
  corrupt(direction: Direction, selection: Selection = {}): Promise<readonly Link[]> {
    return hit(this.#select(selection), (link) => link.corrupt(direction))
  }

  /** Cuts each link inside its next record; see {@link Link.cutInsideRecord}. Resolves with those that were hit. */
  cutInsideRecord(options: CutInsideRecordOptions & Selection = {}): Promise<readonly Link[]> {
    return hit(this.#select(options), (link) => link.cutInsideRecord(options))
  }

  /**
   * Stops listening: new connections get ECONNREFUSED, existing ones live on. Until {@link heal}, or for so many
   * milliseconds; {@link whenListening} resolves when that is over.
   */
  refuse(forMillis: number = Number.POSITIVE_INFINITY): void {
    clearTimeout(this.#refusal)
    if (Number.isFinite(forMillis)) this.#refusal = setTimeout(() => void this.#listenAgain(), forMillis)
    if (!this.#server) return
    this.#server.close() // The port is free at once; what `close` waits for are the connections.
    this.#server = undefined
    this.#listening ??= deferred()
  }

  /**
   * Resolves when new connections are accepted, at once if they are.
   *
   * @throws {FaultProxyError} when another process has taken the port meanwhile, or the proxy is disposed of.
   */
  async whenListening(): Promise<void> {
    if (this.#isClosed) throw closedError()
    await this.#listening?.promise
  }

  /**
   * The network works again: new connections are accepted and served, nothing is delayed, what was held back is
   * delivered, what was announced for a next record is called off. Connections that lost bytes stay dead, as they do
   * behind a real firewall that forgot them; but where the client has given up, the server now learns of it.
   *
   * @throws {FaultProxyError} when it refused connections, and another process has taken the port meanwhile.
   */
  async heal(): Promise<void> {
    this.#delayOfNewLinks = 0
    this.#deadDirectionsOfNewLinks = undefined
    for (const link of this.#links) link.heal()
    await Promise.all([this.whenListening(), this.#listenAgain()])
  }

  /** Closes everything: the port, and all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#refusal)
    const server = this.#server
    const serverClosed = server && once(server, 'close')
    server?.close()
    this.#server = undefined
    for (const { reject } of [...this.#waiters, ...(this.#listening ? [this.#listening] : [])]) reject(closedError())
    const links = this.links
    for (const link of links) link.destroy()
    await Promise.all([serverClosed, ...links.map((link) => link.closed)])
  }

  /** Never rejects: it may be called by a timer. Who waits learns of the failure. */
  async #listenAgain(): Promise<void> {
    clearTimeout(this.#refusal)
    const listening = this.#listening
    if (!listening || this.#server) return
    const server = newServer()
    this.#adopt(server)
    try {
      await listen(server, this.port)
      if (this.#server !== server) return // Refused again, or disposed of, meanwhile.
      this.#listening = undefined
      listening.resolve()
    } catch (cause) {
      this.#server = undefined
      this.#listening = deferred() // For the next attempt.
      listening.reject(isPortTaken(cause) ? this.#portTakenError(cause) : cause)
    }
  }

  #portTakenError(cause: unknown): FaultProxyError {
    const message = `Somebody else has taken port ${this.port} while it was closed.`
    return new FaultProxyError('PROXY_PORT_TAKEN', message, { cause })
  }

  #adopt(server: net.Server): void {
    this.#server = server
    server.on('connection', (client) => this.#accept(client))
  }

  #accept(client: net.Socket): void {
    if (this.#isClosed) {
      client.destroy()
      return
    }
    this.#accepted++
    const dead = this.#deadDirectionsOfNewLinks
    const link = new Link({ id: this.#accepted, client, server: this.#target, dead })
    link.delay(this.#delayOfNewLinks)
    this.#links.add(link)
    void link.closed.then(() => this.#links.delete(link)) // Cannot reject.
    for (const listener of this.#listeners) listener(link)
    for (const { resolve } of this.#waiters) resolve(link)
    this.#waiters.clear()
  }

  #select({ links = () => true }: Selection): readonly Link[] {
    return typeof links === 'function' ? this.links.filter(links) : links
  }
}

function newServer(): net.Server {
  return net.createServer({ allowHalfOpen: true })
}

function closedError(): FaultProxyError {
  return new FaultProxyError('PROXY_CLOSED', 'The proxy has been closed.')
}

async function hit(links: readonly Link[], act: (link: Link) => Promise<boolean>): Promise<readonly Link[]> {
  const results = await Promise.all(links.map(act))
  return links.filter((_, index) => results[index])
}
