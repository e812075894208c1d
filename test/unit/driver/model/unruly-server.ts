import type { Duplex } from 'node:stream'
import { CutMessages } from '../../../support/cut-messages.ts'
import { ModelSocket } from '../../transaction/model/socket.ts'
import { dataRow, errorResponse, message, rowDescription, text } from './messages.ts'
import type { Change, ServerFault } from './server-faults.ts'

const CANCEL_REQUEST = 80877102
const TLS_REQUEST = 80877103
const { setImmediate: setRealImmediate } = globalThis

/** How the server behaves, apart from its fault. */
export interface Behaviour {
  /** The answer to the request for TLS. Nothing follows it, since this server can't encrypt. */
  readonly tlsAnswer: string
  readonly login: 'trust' | 'password' | 'md5' | 'sasl'
  /** How an answer is cut into chunks: message by message, in one, or into so many bytes. */
  readonly chunks: 'messages' | 'one' | number
}

/** Serves sessions that know a few statements. It makes one fault. */
export class UnrulyServer {
  readonly behaviour: Behaviour
  /** What was thrown in an event of a socket. With a real socket, no code could catch it. */
  readonly uncaught: unknown[] = []
  readonly #sockets = new Set<ModelSocket>()
  #fault: ServerFault | undefined
  #said = 0

  constructor(behaviour: Behaviour, fault: ServerFault) {
    this.behaviour = behaviour
    this.#fault = fault
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#sockets.size
  }

  /** The option `stream` of the driver. */
  readonly makeSocket = (): Duplex => {
    const session = new UnrulySession(this)
    const socket = new ModelSocket({
      connect: (connecting) => {
        this.#sockets.add(connecting)
        setRealImmediate(() => this.#guarded(() => connecting.emit('connect')))
        session.start(connecting)
      },
      send: (chunk) => session.receive(chunk),
      leave: () => {
        this.#sockets.delete(socket)
        session.end()
      },
    })
    return socket
  }

  /** What is sent for a message: the message itself, or what the fault makes of it. */
  change(right: Buffer, next: Buffer | undefined): Change {
    const fault = this.#said++ === this.#fault?.at ? this.#fault : undefined
    if (!fault) return { bytes: right }
    this.#fault = undefined
    return fault.change(right, next)
  }

  /** Makes no fault from now on. */
  stopFaults(): void {
    this.#fault = undefined
  }

  /** Lets a chunk arrive. */
  deliver(socket: ModelSocket, chunk: Buffer): void {
    if (!socket.destroyed) this.#guarded(() => socket.push(chunk))
  }

  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.uncaught.push(error)
    }
  }
}

class UnrulySession {
  readonly #server: UnrulyServer
  #socket: ModelSocket | undefined
  readonly #messages = new CutMessages()
  #status = 'I'
  #isOver = false
  #isDripping = false
  #dripped: Buffer[] = []
  #queue: (() => void)[] = []

  constructor(server: UnrulyServer) {
    this.#server = server
  }

  start(socket: ModelSocket): void {
    this.#socket = socket
  }

  end(): void {
    this.#isOver = true
  }

  receive(chunk: Buffer): void {
    if (this.#isOver) return
    const answer: Buffer[] = []
    for (const frame of this.#messages.add(chunk)) answer.push(...this.#answer(frame))
    if (answer.length > 0) this.#say(answer)
  }

  #answer(frame: Buffer): Buffer[] {
    if (!this.#messages.hasBegun) return this.#begin(frame.readInt32BE(4))
    const letter = String.fromCharCode(frame[0] as number)
    const strings = frame.subarray(5).toString('utf8').split('\0')
    switch (letter) {
      case 'p':
        return this.#server.behaviour.login === 'sasl'
          ? [errorResponse('FATAL', '28P01', 'password authentication failed')]
          : this.#welcome()
      case 'Q':
        return [...this.#run(strings[0] ?? ''), message('Z', this.#status)]
      case 'P':
        return [message('1')]
      case 'B':
        return [message('2')]
      case 'D':
        return [rowDescription('it')]
      case 'E':
        return [dataRow('1'), message('C', text('SELECT 1'))]
      case 'C':
        return [message('3')]
      case 'S':
        return [message('Z', this.#status)]
      case 'X':
        this.#socket?.push(null)
        return []
      default:
        return []
    }
  }

  #begin(code: number): Buffer[] {
    if (code === CANCEL_REQUEST) {
      this.#socket?.push(null)
      return []
    }
    if (code === TLS_REQUEST) {
      this.#messages.hasBegun = false
      return [Buffer.from(this.#server.behaviour.tlsAnswer, 'latin1')]
    }
    this.#messages.hasBegun = true
    switch (this.#server.behaviour.login) {
      case 'password':
        return [message('R', 3)]
      case 'md5':
        return [message('R', 5, 'salt')]
      case 'sasl':
        return [message('R', 10, text('SCRAM-SHA-256'), Buffer.alloc(1))]
      case 'trust':
        return this.#welcome()
    }
  }

  #welcome(): Buffer[] {
    const parameters = Object.entries({ server_version: '18.0', in_hot_standby: 'off' })
    return [
      message('R', 0),
      ...parameters.map(([name, value]) => message('S', text(name), text(value))),
      message('K', 7, 8),
      message('Z', this.#status),
    ]
  }

  #run(sql: string): Buffer[] {
    const statements = sql.split(';').map((each) => each.trim())
    return statements.filter((each, index) => each || index === 0).flatMap((each) => this.#runOne(each))
  }

  #runOne(sql: string): Buffer[] {
    const [command = ''] = sql.toUpperCase().split(/\s/)
    if (command === '') return [message('I')]
    if (/fail/.test(sql)) {
      if (this.#status === 'T') this.#status = 'E'
      return [errorResponse('ERROR', '22012', 'division by zero')]
    }
    if (command === 'BEGIN') this.#status = 'T'
    if (command === 'COMMIT' || command === 'ROLLBACK') this.#status = 'I'
    if (sql.includes('pg_current_xact_id_if_assigned'))
      return [
        rowDescription('xid', 'pid', 'server'),
        dataRow('9', '7', '7 1 2 00000001 3 4'),
        message('C', text('SELECT 1')),
      ]
    if (sql === 'select pg_catalog.pg_backend_pid()::text as pid')
      return [rowDescription('pid'), dataRow('7'), message('C', text('SELECT 1'))]
    if (command !== 'SELECT') return [message('C', text(command === 'INSERT' ? 'INSERT 0 1' : command))]
    return [rowDescription('it'), dataRow('1'), message('C', text('SELECT 1'))]
  }

  #say(answer: readonly Buffer[]): void {
    const chunks: Buffer[] = []
    let ending: Change['ending']
    for (let index = 0; index < answer.length && !ending; index++) {
      const change = this.#server.change(answer[index] as Buffer, answer[index + 1])
      if (change.tookNext) index++
      chunks.push(change.bytes)
      ending = change.ending
      if (ending === 'drip') {
        this.#isDripping = true
        ending = undefined
      }
    }
    const { chunks: how } = this.#server.behaviour
    this.#later(() => {
      for (const chunk of how === 'messages' ? chunks : cut(Buffer.concat(chunks), how)) this.#send(chunk)
      if (ending) this.#end(ending)
    })
  }

  /** In its turn: not within the driver's own write. */
  #later(act: () => void): void {
    this.#queue.push(act)
    setRealImmediate(() => this.#queue.shift()?.())
  }

  #send(chunk: Buffer): void {
    if (this.#isOver || !this.#socket || chunk.length === 0) return
    if (!this.#isDripping) return this.#server.deliver(this.#socket, chunk)
    if (this.#dripped.length === 0) setTimeout(() => this.#drip(), 1000)
    this.#dripped.push(...cut(chunk, 1))
  }

  #drip(): void {
    const byte = this.#dripped.shift()
    if (!byte || this.#isOver || !this.#socket) return
    this.#server.deliver(this.#socket, byte)
    if (this.#dripped.length > 0) setTimeout(() => this.#drip(), 1000)
  }

  #end(how: 'silence' | 'fin' | 'reset' | 'drip'): void {
    if (this.#isOver) return
    this.#isOver = true
    if (how === 'fin') this.#socket?.push(null)
    if (how === 'reset') this.#socket?.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
  }
}

function cut(bytes: Buffer, size: 'one' | number): Buffer[] {
  if (size === 'one') return bytes.length > 0 ? [bytes] : []
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}
