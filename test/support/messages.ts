import type { Frame, Piece } from './frames.ts'

/** A message of the Postgres protocol, as far as it is needed to see requests and answers. */
export interface Message {
  /** Says what it is: `Q` is a simple query, `E` an execution when a client sends it and an error when a server does. */
  readonly letter: string
  /** What comes after the header. Empty for messages whose body isn't read. */
  readonly body: Buffer
}

/** Assembles messages from their pieces. A message whose body isn't read is complete with its first piece. */
export class MessageReader {
  readonly #lettersToRead: string
  #pieces: Piece[] = []

  constructor(lettersToRead: string) {
    this.#lettersToRead = lettersToRead
  }

  /** The message that this piece completes, with all the bytes that were kept back for it. */
  read(piece: Piece): { readonly message?: Message; readonly bytes?: Buffer } {
    const { frame, offset, bytes } = piece
    const letter = String.fromCharCode(frame.type)
    if (frame.kind !== 'message') return { bytes }
    if (!this.#lettersToRead.includes(letter)) {
      return offset === 0 ? { message: { letter, body: Buffer.alloc(0) }, bytes } : { bytes }
    }
    this.#pieces.push(piece)
    if (!isLast(piece, frame)) return {}
    const whole = Buffer.concat(this.#pieces.map((each) => each.bytes))
    this.#pieces = []
    return { message: { letter, body: whole.subarray(frame.headerLength) }, bytes: whole }
  }
}

/** Knows the text of what is run, also where it was said long before: by Parse, for a Bind, for an Execute. */
export class Statements {
  /** What {@link textOf} must see the bodies of. */
  static readonly lettersToRead: string = 'QPBE'
  readonly #prepared = new Map<string, string>()
  readonly #portals = new Map<string, string>()

  /** The text that this message of a client asks the server to run; undefined if it doesn't ask for that. */
  textOf({ letter, body }: Message): string | undefined {
    switch (letter) {
      case 'Q':
        return strings(body)[0]
      case 'P': {
        const [name = '', text = ''] = strings(body)
        this.#prepared.set(name, text)
        return undefined
      }
      case 'B': {
        const [portal = '', name = ''] = strings(body)
        this.#portals.set(portal, this.#prepared.get(name) ?? '')
        return undefined
      }
      case 'E':
        return this.#portals.get(strings(body)[0] ?? '')
      default:
        return undefined
    }
  }
}

/** One request to run something, by its place in the conversation. */
export interface Request {
  /** Which ReadyForQuery ends its reply; the one after the log-in is number 0. */
  readonly cycle: number
  /** Which of the executions in this cycle it is, from 1; undefined for a simple query, which is all of its cycle. */
  readonly execution: number | undefined
}

/** How much of the reply to a request has come with a message: nothing, something, or all that it takes to know. */
export type Progress = 'none' | 'some' | 'done'

/**
 * Which reply answers which request. Clients may send several before the first is answered, and a server may say things
 * that answer none.
 */
export class Replies {
  #cycleAsked = 1
  #executionsAsked = 0
  #cycleAnswered = 0
  #executionsAnswered = 0

  /** Takes note of a client's message; of those that run something, says which request it is. */
  ask(letter: string): Request | undefined {
    if (letter === 'E') return { cycle: this.#cycleAsked, execution: ++this.#executionsAsked }
    if (!'QSF'.includes(letter)) return undefined
    this.#executionsAsked = 0
    const cycle = this.#cycleAsked++
    return letter === 'Q' ? { cycle, execution: undefined } : undefined
  }

  /**
   * What a message of the server, before it is recorded, means for a request. An error is `done`: nothing more runs for the
   * request. So is the server's request for the data of a COPY, without which it doesn't go on.
   */
  progress({ cycle, execution }: Request, letter: string): Progress {
    if (cycle !== this.#cycleAnswered || isUnasked(letter)) return 'none'
    if ('EZGHW'.includes(letter)) return 'done'
    if (execution === undefined) return 'some'
    if (execution !== this.#executionsAnswered + 1) return 'none'
    return endsExecution(letter) ? 'done' : 'some'
  }

  /** Takes note of a server's message. */
  answer(letter: string): void {
    if (endsExecution(letter)) this.#executionsAnswered++
    if (letter !== 'Z') return
    this.#cycleAnswered++
    this.#executionsAnswered = 0
  }
}

/** Whether the server answers by this message of a client at the latest. */
export function asksForReply(letter: string): boolean {
  return 'QSFH'.includes(letter)
}

/** The process id in a BackendKeyData. */
export function backendPidIn({ body }: Message): number {
  return body.readInt32BE(0)
}

function isLast({ offset, bytes }: Piece, { length }: Frame): boolean {
  return offset + bytes.length === length
}

/** CommandComplete, EmptyQueryResponse, PortalSuspended. */
function endsExecution(letter: string): boolean {
  return 'CIs'.includes(letter)
}

/** Notifications, notices and changes of a parameter come whenever the server likes. */
function isUnasked(letter: string): boolean {
  return 'ANS'.includes(letter)
}

/** The first two zero-terminated strings: no message has more of them that are needed here. */
function strings(body: Buffer): string[] {
  const first = body.indexOf(0)
  const second = body.indexOf(0, first + 1)
  return [body.toString('utf8', 0, first), body.toString('utf8', first + 1, second === -1 ? first + 1 : second)]
}
