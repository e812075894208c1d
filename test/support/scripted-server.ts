import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import type { Certificates } from './certificates.ts'
import { listenOnFreePort } from './free-port.ts'

const SSL_REQUEST = 80_877_103
const CANCEL_REQUEST = 80_877_102

/** A message that a client sent. */
export interface ClientMessage {
  /** `Q` a simple query, `P` Parse, `p` a password …; `startup` and `ssl` for those that have no letter. */
  readonly letter: string
  readonly body: Buffer
}

/** One session of a {@link ScriptedServer}, in the hands of its script. */
export class ScriptedSession {
  /** Which one it is, from 1. */
  readonly number: number
  #socket: net.Socket
  #bytes = Buffer.alloc(0)
  #isStarted = false
  #isOver = false
  #wake: (() => void) | undefined

  constructor(socket: net.Socket, number: number) {
    this.number = number
    this.#socket = socket
    this.#listen(socket)
  }

  /** Whether the client has left. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Sends these messages in one piece. */
  send(...messages: readonly Buffer[]): void {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(messages))
  }

  /** Closes the socket, when all is sent. */
  close(): void {
    this.#socket.end()
  }

  /** The next message of the client; undefined when it has left. */
  async next(): Promise<ClientMessage | undefined> {
    for (;;) {
      const message = this.#take()
      if (message || this.#isOver) return message
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Accepts TLS, which the client has asked for. */
  async secure({ key, certificate }: Certificates): Promise<void> {
    const raw = this.#socket
    raw.removeAllListeners('data')
    raw.write('S')
    const secure = new tls.TLSSocket(raw, { isServer: true, key, cert: certificate })
    this.#socket = secure
    this.#listen(secure)
    await once(secure, 'secure').catch(() => {})
  }

  #listen(socket: net.Socket): void {
    const over = (): void => {
      this.#isOver = true
      this.#wake?.()
    }
    socket.on('error', over).on('close', over)
    socket.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes])
      this.#wake?.()
    })
  }

  #take(): ClientMessage | undefined {
    const offset = this.#isStarted ? 1 : 0
    if (this.#bytes.length < offset + 4) return undefined
    const length = this.#bytes.readInt32BE(offset) + offset
    if (this.#bytes.length < length) return undefined
    const body = this.#bytes.subarray(offset + 4, length)
    const letter = this.#isStarted ? String.fromCharCode(this.#bytes[0] as number) : startOf(body)
    if (letter === 'startup') this.#isStarted = true
    this.#bytes = this.#bytes.subarray(length)
    return { letter, body }
  }
}

function startOf(body: Buffer): string {
  const code = body.readInt32BE(0)
  return { [SSL_REQUEST]: 'ssl', [CANCEL_REQUEST]: 'cancel' }[code] ?? 'startup'
}

/**
 * A server that says what its script says, for what can't be had from a real one: a login that takes its time at a certain
 * point, the words of a pooler. Speaks the messages, and knows no SQL.
 *
 * ```ts
 * await using server = await ScriptedServer.start(async (session) => {
 *   await session.next()
 *   session.send(message.loggedIn())
 * })
 * ```
 */
export class ScriptedServer implements AsyncDisposable {
  readonly host = '127.0.0.1'
  readonly port: number
  /** All so far, in the order in which they came. */
  readonly sessions: ScriptedSession[] = []
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()

  private constructor(server: net.Server, port: number) {
    this.#server = server
    this.port = port
  }

  /** Starts one; each session runs the script. */
  static async start(script: (session: ScriptedSession) => Promise<void>): Promise<ScriptedServer> {
    const server = net.createServer({ noDelay: true })
    const scripted = new ScriptedServer(server, await listenOnFreePort(server))
    server.on('connection', (socket) => {
      scripted.#sockets.add(socket)
      socket.on('close', () => scripted.#sockets.delete(socket))
      const session = new ScriptedSession(socket, scripted.sessions.length + 1)
      scripted.sessions.push(session)
      void script(session)
    })
    return scripted
  }

  /** How a client gets there: without TLS. */
  config(): { host: string; port: number; user: string; password: string; database: string; ssl: false } {
    return { host: this.host, port: this.port, user: 'app', password: 'secret', database: 'app', ssl: false }
  }

  /** How many are open. */
  get openCount(): number {
    return this.#sockets.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}

/** The messages of a server. */
export const message = {
  passwordWanted: (): Buffer => framed('R', int32(3)),
  authenticated: (): Buffer => framed('R', int32(0)),
  parameter: (name: string, value: string): Buffer => framed('S', text(name), text(value)),
  keyData: (pid: number): Buffer => framed('K', int32(pid), int32(1)),
  ready: (status: 'I' | 'T' | 'E' = 'I'): Buffer => framed('Z', Buffer.from(status)),
  /** All that ends a login without a password. */
  loggedIn: (pid = 1): Buffer => Buffer.concat([message.authenticated(), message.keyData(pid), message.ready()]),
  empty: (): Buffer => Buffer.concat([framed('I'), message.ready()]),
  /** A result without rows. */
  done: (tag: string, status: 'I' | 'T' | 'E' = 'I'): Buffer =>
    Buffer.concat([framed('C', text(tag)), message.ready(status)]),
  /** A result of one row, whose values are texts. */
  row: (values: Readonly<Record<string, string>>): Buffer => {
    const column = (name: string): Buffer[] => [
      text(name),
      int32(0),
      int16(0),
      int32(25),
      int16(-1),
      int32(-1),
      int16(0),
    ]
    const value = (each: string): Buffer[] => [int32(Buffer.byteLength(each)), Buffer.from(each)]
    const [names, texts] = [Object.keys(values), Object.values(values)]
    const described = framed('T', int16(names.length), ...names.flatMap(column))
    return Buffer.concat([
      described,
      framed('D', int16(texts.length), ...texts.flatMap(value)),
      message.done('SELECT 1'),
    ])
  },
  /** An error; as poolers send them, with three fields, unless there are others. */
  error: (severity: string, code: string, what: string, others: Readonly<Record<string, string>> = {}): Buffer => {
    const fields = Object.entries({ S: severity, C: code, M: what, ...others })
    return framed('E', ...fields.flatMap(([field, value]) => [Buffer.from(field), text(value)]), Buffer.from([0]))
  },
}

function framed(letter: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}
