import net from 'node:net'
import { Flow, reset } from './flow.ts'
import { Conversation, type Direction } from './frames.ts'
import { type CutKind, corruptNext, cutInsideNext, type Treatment } from './treatment.ts'

/** A TCP address. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** Whom a cut is made visible to. */
export type Side = 'client' | 'server' | 'both'

/** Options of {@link Link.cut}. */
export interface CutOptions {
  /**
   * With `client` or `server`, the other one is left alone with a connection that goes nowhere.
   *
   * @default 'both'
   */
  readonly side?: Side
}

/** Options of {@link Link.cutInsideRecord}. */
export interface CutInsideRecordOptions {
  /** @default 'fin' */
  readonly kind?: CutKind
  /** @default 'to-client': an answer that was lost half-way. */
  readonly direction?: Direction
}

/** Which directions: one, or both. */
export type Directions = Direction | 'both'

/** What a {@link Link} is made of. */
export interface LinkOptions {
  readonly id: number
  readonly client: net.Socket
  readonly server: Address
  /** Directions in which everything vanishes from the beginning. */
  readonly dead?: Directions | undefined
}

/** One connection through a {@link FaultProxy}: the client's to the proxy and the proxy's to the server, in one. */
export class Link {
  /** Counts from 1, in the order of acceptance. */
  readonly id: number
  /** When the client connected. */
  readonly openedAt: Date = new Date()
  /** The source port of the client's connection: its `socket.localPort`. */
  readonly clientPort: number | undefined
  /** Resolves when the client has ended its side of the connection, or lost it. */
  readonly clientLeft: Promise<void>
  /** Resolves when the server has. At once if it was never connected to, because nothing would have reached it. */
  readonly serverLeft: Promise<void>
  /** Resolves when neither of the two connections is left. */
  readonly closed: Promise<void>

  readonly #client: net.Socket
  readonly #server: net.Socket
  readonly #toServer: Flow
  readonly #toClient: Flow
  #isOpen = true

  constructor({ id, client, server: address, dead }: LinkOptions) {
    const isServerReachable = dead === undefined || dead === 'to-client'
    // Half-open is allowed since an end is passed on by us, in its turn, or is not passed on at all.
    const server = new net.Socket({ allowHalfOpen: true })
    const conversation = new Conversation()
    const cut = (kind: CutKind): void => this.cut(kind)
    this.id = id
    this.clientPort = client.remotePort
    this.#client = client
    this.#server = server
    this.#toServer = new Flow({ direction: 'to-server', conversation, source: client, target: server, cut })
    this.#toClient = new Flow({ direction: 'to-client', conversation, source: server, target: client, cut })
    this.clientLeft = left(client).then(() => {
      this.#isOpen = false
    })
    this.serverLeft = isServerReachable ? left(server) : Promise.resolve()
    this.closed = Promise.all([closed(client), isServerReachable ? closed(server) : undefined]).then(() => undefined)
    for (const flow of this.#flows(dead)) flow.kill()
    client.setNoDelay(true)
    server.setNoDelay(true)
    if (isServerReachable) server.connect(address)
  }

  /** Whether the client still has its side of the connection. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** The source port of the proxy's connection to the server: `clientPort` in the server's session list. */
  get serverPort(): number | undefined {
    return this.#server.localPort
  }

  /** How many bytes the client has sent, whether or not they went further. */
  get bytesToServer(): number {
    return this.#toServer.bytesRead
  }

  /** How many bytes the server has sent, whether or not they went further. */
  get bytesToClient(): number {
    return this.#toClient.bytesRead
  }

  /** Whether at least one direction is a black hole; see {@link swallow}. */
  get isDead(): boolean {
    return this.#toServer.isDead || this.#toClient.isDead
  }

  /**
   * Holds everything back for so many milliseconds, each way. `Infinity` holds it back until {@link heal} and then
   * delivers it: a network that was away, but forgot nothing.
   */
  delay(millis: number): void {
    for (const flow of this.#flows('both')) flow.delay(millis)
  }

  /**
   * From now on, bytes, ends and resets of these directions vanish without a notice, and the sockets stay open. Permanently:
   * a firewall that forgot a flow does not remember it when it works again.
   * One thing is kinder than a real black hole: the proxy's kernel acknowledges the bytes, so TCP itself never gives up.
   */
  swallow(direction: Directions = 'both'): void {
    for (const flow of this.#flows(direction)) flow.kill()
  }

  /** Ends the connection at once, both ways; works on dead ones, too. */
  cut(kind: CutKind, { side = 'both' }: CutOptions = {}): void {
    // No end and no reset may find its way round to the side that is left alone.
    for (const flow of this.#flows('both')) flow.kill()
    if (side !== 'server') cutSocket(this.#client, kind)
    if (side !== 'client') cutSocket(this.#server, kind)
  }

  /**
   * Changes one byte in the body of the next TLS application-data record (without TLS: of the next message). Resolves
   * when that was done, with `true`; with `false` if it will never be: the link closed, or another act replaced this.
   */
  corrupt(direction: Direction): Promise<boolean> {
    return this.#onNextFrame(direction, (settled) => corruptNext(settled))
  }

  /**
   * Lets the first half of the next TLS application-data record (without TLS: of the next message) through, and cuts.
   * Resolves as {@link corrupt} does.
   */
  cutInsideRecord({ kind = 'fin', direction = 'to-client' }: CutInsideRecordOptions = {}): Promise<boolean> {
    return this.#onNextFrame(direction, (settled) => cutInsideNext(kind, settled))
  }

  /**
   * Ends delays and what was announced for the next record; what was held back is delivered. A dead link stays dead,
   * but when its client has left, the server's next packet meets a reset, and so the server gets rid of its session.
   */
  heal(): void {
    if (this.isDead) void this.clientLeft.then(() => this.cut('rst'))
    for (const flow of this.#flows('both')) flow.heal()
  }

  /** Lets go of both sockets. */
  destroy(): void {
    this.#client.destroy()
    this.#server.destroy()
  }

  #onNextFrame(direction: Direction, make: (settled: (acted: boolean) => void) => Treatment): Promise<boolean> {
    return new Promise((resolve) => {
      for (const flow of this.#flows(direction)) flow.treat(make(resolve))
    })
  }

  #flows(direction: Directions | undefined): readonly Flow[] {
    switch (direction) {
      case 'to-server':
        return [this.#toServer]
      case 'to-client':
        return [this.#toClient]
      case 'both':
        return [this.#toServer, this.#toClient]
      case undefined:
        return []
    }
  }
}

function cutSocket(socket: net.Socket, kind: CutKind): void {
  if (kind === 'rst') reset(socket)
  else socket.end()
}

function left(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.once('end', resolve).once('close', () => resolve()))
}

function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}
