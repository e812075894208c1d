import net from 'node:net'
import type { Shot } from './aimed-proxy-shot.ts'
import { type Ends, type Identity, negotiate } from './aimed-proxy-tls.ts'
import { Flow, reset } from './flow.ts'
import { Conversation } from './frames.ts'
import type { Address, Directions } from './link.ts'
import {
  asksForReply,
  backendPidIn,
  type Message,
  MessageReader,
  Replies,
  type Request,
  Statements,
} from './messages.ts'
import type { CutKind, Treatment } from './treatment.ts'

/** As much of a reply as is held back in wait for its end: less than what makes a flow stop reading. */
const LONGEST_REPLY_AWAITED = 524_288

/** What an {@link AimedLink} is made of. */
export interface AimedLinkOptions {
  readonly id: number
  readonly client: net.Socket
  readonly server: Address
  /** Undefined if the server has no TLS. */
  readonly identity: Identity | undefined
  /** The shots that are for this request. Asked once for each. */
  readonly shotsFor: (text: string) => readonly Shot[]
}

/** A shot whose request has come, but not its point. */
interface Pending {
  readonly shot: Shot
  readonly request: Request
  /** Lets go of what is held back for it, if anything is. */
  release?: () => void
  bytesHeld: number
}

/** One connection through an {@link AimedProxy}: the client's to the proxy and the proxy's to the server, in one. */
export class AimedLink {
  /** Counts from 1, in the order of acceptance. */
  readonly id: number
  /** The source port of the client's connection: its `socket.localPort`. */
  readonly clientPort: number | undefined
  /** Resolves when neither of the two connections is left. */
  readonly closed: Promise<void>

  readonly #options: AimedLinkOptions
  /** As they were opened; TLS is on top of them. */
  readonly #sockets: readonly [client: net.Socket, server: net.Socket]
  readonly #statements = new Statements()
  readonly #replies = new Replies()
  readonly #pending = new Set<Pending>()
  #ends: Ends | undefined
  #toServer: HoldableFlow | undefined
  #toClient: HoldableFlow | undefined
  #backendPid: number | undefined
  #hasServerLeft = false

  constructor(options: AimedLinkOptions) {
    const { id, client, server: address, identity } = options
    // Half-open is allowed since an end is passed on by us, in its turn, or is not passed on at all.
    const server = new net.Socket({ allowHalfOpen: true })
    this.#options = options
    this.#sockets = [client, server]
    this.id = id
    this.clientPort = client.remotePort
    this.closed = Promise.all([closed(client), closed(server)]).then(() => undefined)
    client.setNoDelay(true)
    server.setNoDelay(true)
    // For as long as there are no flows to do it; a client that is lost meanwhile ends the negotiation by its absence.
    client.on('error', () => {})
    server.on('error', () => this.#ends ?? reset(client))
    server.connect(address)
    void negotiate(client, server, identity).then((ends) => (ends ? this.#begin(ends) : this.destroy()))
  }

  /** The source port of the proxy's connection to the server: `clientPort` in the server's session list. */
  get serverPort(): number | undefined {
    return this.#sockets[1].localPort
  }

  /** The process that serves this link; undefined before it has said so, and on connections that pass untouched. */
  get backendPid(): number | undefined {
    return this.#backendPid
  }

  /**
   * From now on, bytes, ends and resets of these directions vanish permanently and without a notice. The sockets stay open.
   * Nothing happens before client and server have agreed on TLS.
   */
  swallow(direction: Directions = 'both'): void {
    if (direction !== 'to-client') this.#toServer?.kill()
    if (direction !== 'to-server') this.#toClient?.kill()
  }

  /** Ends the connection at once, both ways; works on dead ones, too. */
  cut(kind: CutKind): void {
    this.swallow()
    const [client, server] = this.#sockets
    for (const socket of this.#ends ? [this.#ends.client, this.#ends.server] : [client, server]) {
      if (kind === 'rst') reset(socket)
      else socket.end()
    }
  }

  /** Lets go of both sockets. */
  destroy(): void {
    this.#ends?.client.destroy()
    this.#ends?.server.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }

  #begin(ends: Ends): void {
    const { client, server, isSecured } = ends
    const conversation = new Conversation()
    const cut = (kind: CutKind): void => this.cut(kind)
    this.#ends = ends
    this.#toServer = new HoldableFlow({ direction: 'to-server', conversation, source: client, target: server, cut })
    this.#toClient = new HoldableFlow({ direction: 'to-client', conversation, source: server, target: client, cut })
    server.once('end', () => this.#serverLeft()).once('close', () => this.#serverLeft())
    if (!isSecured) return
    this.#toServer.treat(this.#requestTreatment(this.#toServer, this.#toClient))
    this.#toClient.treat(this.#replyTreatment(this.#toClient))
  }

  #requestTreatment(toServer: HoldableFlow, toClient: HoldableFlow): Treatment {
    const reader = new MessageReader(Statements.lettersToRead)
    return {
      treat: (piece, outlet) => {
        const { message, bytes } = reader.read(piece)
        if (message) this.#request(message, toServer, toClient)
        if (!bytes) return
        const sent = message && asksForReply(message.letter) ? this.#pendingFor('after-forward') : []
        outlet.forward(bytes, () => this.#fire(...sent))
      },
    }
  }

  #request(message: Message, toServer: HoldableFlow, toClient: HoldableFlow): void {
    const text = this.#statements.textOf(message)
    const request = this.#replies.ask(message.letter)
    if (text === undefined || !request) return
    for (const shot of this.#options.shotsFor(text)) {
      const pending = this.#await(shot, request)
      // Held before the request is sent: nothing is known of how soon the reply will come.
      if (shot.point === 'after-forward') pending.release = toClient.hold()
      if (shot.point !== 'before-forward') continue
      pending.release = toServer.hold()
      this.#fire(pending)
    }
    if (this.#hasServerLeft) this.#abandon()
  }

  #replyTreatment(toClient: HoldableFlow): Treatment {
    const reader = new MessageReader('K')
    return {
      treat: (piece, outlet) => {
        const { message, bytes } = reader.read(piece)
        if (message) this.#reply(message, toClient)
        if (!bytes) return
        outlet.forward(bytes)
        for (const pending of this.#pendingFor('on-reply')) {
          if (pending.release) pending.bytesHeld += bytes.length
          if (pending.bytesHeld > LONGEST_REPLY_AWAITED) this.#fire(pending)
        }
      },
    }
  }

  #reply(message: Message, toClient: HoldableFlow): void {
    const { letter } = message
    if (letter === 'K') this.#backendPid = backendPidIn(message)
    for (const pending of this.#pendingFor('on-reply')) {
      const progress = this.#replies.progress(pending.request, letter)
      if (progress !== 'none') pending.release ??= toClient.hold()
      if (progress === 'done') this.#fire(pending)
    }
    this.#replies.answer(letter)
  }

  #pendingFor(point: Shot['point']): Pending[] {
    return [...this.#pending].filter(({ shot }) => shot.point === point)
  }

  #await(shot: Shot, request: Request): Pending {
    const pending: Pending = { shot, request, bytesHeld: 0 }
    const settled = (): void => {
      this.#pending.delete(pending)
      pending.release?.()
    }
    this.#pending.add(pending)
    shot.fired.then(settled, settled)
    return pending
  }

  #fire(...reached: readonly Pending[]): void {
    // Those that are not there any more were missed, for want of time or of a server.
    for (const pending of reached) if (this.#pending.delete(pending)) void pending.shot.fire(this) // Cannot reject.
  }

  #serverLeft(): void {
    this.#hasServerLeft = true
    this.#abandon()
  }

  /** Whoever waits for something of the server waits in vain, and what is held back is all that there will be. */
  #abandon(): void {
    for (const { shot } of this.#pending) shot.miss('AIM_LINK_CLOSED', 'The server closed the connection')
  }
}

/** A flow that can be held. */
class HoldableFlow extends Flow {
  #holds = 0

  /** Returns what ends this hold; may be called again. */
  hold(): () => void {
    let isHolding = true
    this.#holds++
    this.delay(Number.POSITIVE_INFINITY)
    return () => {
      if (isHolding) this.#holds--
      isHolding = false
      if (this.#holds === 0) this.delay(0)
    }
  }
}

function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}
