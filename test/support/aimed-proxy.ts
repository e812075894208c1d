import { once } from 'node:events'
import net from 'node:net'
import { AimedLink } from './aimed-proxy-link.ts'
import { type Act, type Aim, Shot } from './aimed-proxy-shot.ts'
import { type Identity, identityOf, type TlsServer } from './aimed-proxy-tls.ts'
import { listenOnFreePort } from './free-port.ts'
import type { Address } from './link.ts'
import { configThrough, urlThrough } from './way-through.ts'

/**
 * A proxy that breaks a connection at one message of the Postgres protocol: before COMMIT is sent on, after that, on its
 * reply. It shows clients the server's own certificate, so that what they verify is the same as without it, SCRAM's
 * channel binding included, and speaks TLS with the server itself. It has no certificate of the client's to show.
 *
 * Whatever isn't aimed at passes. Cancel requests and connections without TLS pass untouched, and so does TLS that was
 * negotiated after GSS encryption was refused; they can't be aimed at. What happens to whole connections (delays,
 * refusals) is done by a {@link FaultProxy} in front of this one, or behind it.
 *
 * ```ts
 * await using cluster = await Cluster.start()
 * await using proxy = await AimedProxy.start(cluster)
 * const pool = new Pool(proxy.config(cluster.config()))
 * const shot = proxy.aim({ statement: /^commit$/i, point: 'on-reply' }, 'rst')
 * await pool.transaction(transfer) // The server commits, and the answer is lost.
 * const link = await shot.fired
 * ```
 */
export class AimedProxy implements AsyncDisposable {
  /** The loopback address. */
  readonly host = '127.0.0.1'
  /** The same for the whole life of the proxy. */
  readonly port: number

  readonly #server: net.Server
  readonly #identity: Identity | undefined
  readonly #links = new Set<AimedLink>()
  readonly #shots = new Set<Shot>()
  #target: Address
  #accepted = 0
  #isClosed = false

  private constructor(server: net.Server, port: number, target: Address, identity: Identity | undefined) {
    this.#server = server
    this.#target = target
    this.#identity = identity
    this.port = port
    server.on('connection', (client) => this.#accept(client))
  }

  /** Makes a proxy in front of a {@link Cluster}, which need not run at the moment. */
  static async start(cluster: TlsServer): Promise<AimedProxy> {
    const identity = await identityOf(cluster)
    const server = net.createServer({ allowHalfOpen: true })
    return new AimedProxy(server, await listenOnFreePort(server), toAddress(cluster), identity)
  }

  /** The connections through this proxy of which at least one half is left, oldest first. */
  get links(): readonly AimedLink[] {
    return [...this.#links]
  }

  /** How many connections were ever accepted. */
  get accepted(): number {
    return this.#accepted
  }

  /** A copy of a pg configuration that leads through this proxy, by `host` and `port` or by `connectionString`. */
  config<Config extends object>(config: Config): Config & Address {
    return configThrough(this, config)
  }

  /** The same URL, leading through this proxy. */
  url(url: string): string {
    return urlThrough(this, url)
  }

  /**
   * From now on, new connections go to another server, as when a DNS name or a virtual address moves. It must have the
   * same certificate, as a {@link Cluster.standby} has.
   */
  retarget(address: Address): void {
    this.#target = toAddress(address)
  }

  /**
   * Makes an act on the link whose request is the n-th that matches, when that is at the given point; once. Other links
   * are let alone. Several shots at one request are all made.
   *
   * @throws {AimError} `AIM_PROXY_CLOSED` when the proxy is disposed of.
   */
  aim(aim: Aim, act: Act): Shot {
    const shot = new Shot(aim, act)
    if (this.#isClosed) shot.miss('AIM_PROXY_CLOSED', 'The proxy has been closed')
    else this.#shots.add(shot)
    const forget = (): void => void this.#shots.delete(shot)
    shot.fired.then(forget, forget)
    return shot
  }

  /** Closes everything: the port, and all connections. What was aimed and not fired is missed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const serverClosed = once(this.#server, 'close')
    this.#server.close()
    for (const shot of this.#shots) shot.miss('AIM_PROXY_CLOSED', 'The proxy was closed')
    const links = this.links
    for (const link of links) link.destroy()
    await Promise.all([serverClosed, ...links.map((link) => link.closed)])
  }

  #accept(client: net.Socket): void {
    if (this.#isClosed) {
      client.destroy()
      return
    }
    this.#accepted++
    const link = new AimedLink({
      id: this.#accepted,
      client,
      server: this.#target,
      identity: this.#identity,
      shotsFor: (text) => [...this.#shots].filter((shot) => shot.takes(text)),
    })
    this.#links.add(link)
    void link.closed.then(() => this.#links.delete(link)) // Cannot reject.
  }
}

function toAddress({ host, port }: Address): Address {
  return { host, port }
}
