/** Which way bytes go. */
export type Direction = 'to-server' | 'to-client'

/**
 * One unit of a conversation, as far as units are visible without the keys: a TLS record, or, without TLS,
 * a message of the Postgres protocol. `startup` are the client's first packets, which have no type; `answer` is the
 * server's single byte to a request for TLS; `opaque` is whatever came in one piece when it is not Postgres at all.
 */
export interface Frame {
  readonly kind: 'startup' | 'answer' | 'tls-record' | 'message' | 'opaque'
  /** The first byte: the content type of a record, the letter of a message. */
  readonly type: number
  /** With its header. */
  readonly length: number
  readonly headerLength: number
}

/** Consecutive bytes of one frame: all of it, or as much as came in one chunk. */
export interface Piece {
  readonly bytes: Buffer
  readonly frame: Frame
  /** Where in the frame these bytes begin. */
  readonly offset: number
}

const SSL_REQUEST = 80877103
const GSS_ENCRYPTION_REQUEST = 80877104
const TLS_HANDSHAKE = 22
const TLS_APPLICATION_DATA = 23
const HEADER_LENGTH = 5
const STARTUP_HEADER_LENGTH = 8
const ANSWER_YES = 'S'.charCodeAt(0)
const ANSWER_ERROR = 'E'.charCodeAt(0)

/** Whether the frame carries what the two sides have to say to each other, as opposed to setting up the connection. */
export function carriesData({ kind, type }: Frame): boolean {
  return kind === 'tls-record' ? type === TLS_APPLICATION_DATA : kind === 'message' || kind === 'opaque'
}

/**
 * What the two directions of one link must know of each other: how bytes are framed changes for both at once, when the
 * server says yes to TLS.
 */
export class Conversation {
  state: 'beginning' | 'tls-requested' | 'tls' | 'plain' | 'opaque' = 'beginning'
}

/**
 * Cuts the bytes of one direction into frames, however they are spread over chunks. Follows the stream from its first
 * byte, since a record in the middle cannot be recognised.
 */
export class FrameReader {
  readonly #conversation: Conversation
  readonly #direction: Direction
  #unread: Buffer = Buffer.alloc(0)
  #frame: Frame | undefined
  #offset = 0

  constructor(conversation: Conversation, direction: Direction) {
    this.#conversation = conversation
    this.#direction = direction
  }

  /** The pieces of a chunk. The beginning of a header stays here until the rest of it comes. */
  *read(chunk: Buffer): Generator<Piece, void, undefined> {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    while (this.#unread.length > 0) {
      this.#frame ??= this.#nextFrame()
      if (!this.#frame) return
      const frame = this.#frame
      const offset = this.#offset
      const bytes = this.#unread.subarray(0, frame.length - offset)
      this.#unread = this.#unread.subarray(bytes.length)
      this.#offset += bytes.length
      if (this.#offset === frame.length) {
        this.#frame = undefined
        this.#offset = 0
        this.#finish(frame, bytes)
      }
      yield { bytes, frame, offset }
    }
  }

  /** What is left when the stream ends inside a header. */
  *rest(): Generator<Piece, void, undefined> {
    if (this.#unread.length === 0) return
    const bytes = this.#unread
    this.#unread = Buffer.alloc(0)
    yield { bytes, frame: opaque(bytes), offset: 0 }
  }

  #nextFrame(): Frame | undefined {
    switch (this.#conversation.state) {
      case 'beginning':
        return this.#direction === 'to-server' ? this.#startup() : opaque(this.#unread)
      case 'tls-requested':
        return this.#direction === 'to-client' ? this.#answer() : opaque(this.#unread)
      case 'tls':
        return this.#withHeader('tls-record', (header) => HEADER_LENGTH + header.readUInt16BE(3))
      case 'plain':
        return this.#withHeader('message', (header) => 1 + Math.max(header.readInt32BE(1), 4))
      case 'opaque':
        return opaque(this.#unread)
    }
  }

  #startup(): Frame | undefined {
    const first = this.#unread[0]
    if (first === TLS_HANDSHAKE) {
      this.#conversation.state = 'tls' // Direct TLS, as with `sslnegotiation=direct`.
      return this.#nextFrame()
    }
    // A startup packet begins with its length, which is far below 2^24.
    if (first !== 0) {
      this.#conversation.state = 'opaque'
      return this.#nextFrame()
    }
    if (this.#unread.length < STARTUP_HEADER_LENGTH) return undefined
    const length = Math.max(this.#unread.readInt32BE(0), STARTUP_HEADER_LENGTH)
    const code = this.#unread.readInt32BE(4)
    const asksForEncryption = code === SSL_REQUEST || code === GSS_ENCRYPTION_REQUEST
    // The server's flow must know before the last byte of the packet is out, for then the answer may come.
    this.#conversation.state = asksForEncryption ? 'tls-requested' : 'plain'
    return { kind: 'startup', type: first, length, headerLength: STARTUP_HEADER_LENGTH }
  }

  #answer(): Frame | undefined {
    const type = this.#unread[0] ?? 0
    if (type !== ANSWER_ERROR) return { kind: 'answer', type, length: 1, headerLength: 0 }
    this.#conversation.state = 'plain'
    return this.#nextFrame()
  }

  #withHeader(kind: 'tls-record' | 'message', lengthOf: (header: Buffer) => number): Frame | undefined {
    if (this.#unread.length < HEADER_LENGTH) return undefined
    return { kind, type: this.#unread[0] ?? 0, length: lengthOf(this.#unread), headerLength: HEADER_LENGTH }
  }

  #finish({ kind }: Frame, bytes: Buffer): void {
    if (kind === 'answer') this.#conversation.state = bytes[0] === ANSWER_YES ? 'tls' : 'beginning'
  }
}

function opaque(bytes: Buffer): Frame {
  return { kind: 'opaque', type: bytes[0] ?? 0, length: bytes.length, headerLength: 0 }
}
