import { CutMessages } from '../../../support/cut-messages.ts'

/**
 * A client's message, as far as the model server acts on it. All that is under one Sync is one request: the texts of several
 * statements stand one behind the other, as in one text.
 */
export type Request =
  | { readonly kind: 'start-up' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly key: number }
  | StatementRequest
  | { readonly kind: 'goodbye' }

/** One statement, or several under one Sync. */
export interface StatementRequest {
  readonly kind: 'statement'
  readonly text: string
  /** Undefined in the simple protocol. */
  readonly values: readonly string[] | undefined
  /** For each statement, whether it is parsed: one that was prepared under its name isn't. */
  readonly parses: readonly boolean[]
}

const CANCEL_REQUEST = 80877102

/** Reads what the driver writes. */
export class RequestReader {
  readonly #messages = new CutMessages()
  /** The texts of prepared statements by their names; the one without a name has the name ''. */
  readonly #prepared = new Map<string, string>()
  #isParsed = false
  #text = ''
  #values: string[] = []
  /** What is to be executed at Sync, and whether each is parsed. */
  #texts: string[] = []
  #parses: boolean[] = []

  /** The requests that these bytes complete. */
  read(chunk: Buffer): Request[] {
    const requests: Request[] = []
    for (const frame of this.#messages.add(chunk)) {
      const { hasBegun } = this.#messages
      const request = hasBegun ? this.#take(String.fromCharCode(frame[0] ?? 0), frame.subarray(5)) : begin(frame)
      this.#messages.hasBegun = true
      if (request) requests.push(request)
    }
    return requests
  }

  #take(letter: string, body: Buffer): Request | undefined {
    switch (letter) {
      case 'Q':
        return { kind: 'statement', text: stringsIn(body)[0] as string, values: undefined, parses: [] }
      case 'P': {
        const [name, text] = stringsIn(body) as [string, string]
        this.#prepared.set(name, text)
        this.#isParsed = true
        return undefined
      }
      case 'B': {
        const [, name] = stringsIn(body) as [string, string]
        // A statement that was never prepared: the model server knows no such text.
        this.#text = this.#prepared.get(name) ?? `unknown name: ${name}`
        this.#values = [...this.#values, ...valuesIn(body)]
        return undefined
      }
      case 'C':
        this.#prepared.delete(stringsIn(body.subarray(1))[0] as string)
        return undefined
      case 'E':
        this.#texts.push(this.#text)
        this.#parses.push(this.#isParsed)
        this.#isParsed = false
        return undefined
      case 'S': {
        const [texts, values, parses] = [this.#texts, this.#values, this.#parses]
        this.#texts = []
        this.#values = []
        this.#parses = []
        return { kind: 'statement', text: texts.join('; '), values, parses }
      }
      case 'X':
        return { kind: 'goodbye' }
      default:
        return undefined
    }
  }
}

function begin(packet: Buffer): Request {
  if (packet.readInt32BE(4) !== CANCEL_REQUEST) return { kind: 'start-up' }
  return { kind: 'cancel', pid: packet.readInt32BE(8), key: packet.readInt32BE(12) }
}

/** The strings at the beginning of a message, each with a zero behind it. */
function stringsIn(body: Buffer): string[] {
  return body.toString('utf8').split('\0')
}

/** The values in a Bind, which are behind the names of portal and statement, and the formats. */
function valuesIn(body: Buffer): string[] {
  let at = body.indexOf(0, body.indexOf(0) + 1) + 1
  at += 2 + 2 * body.readInt16BE(at)
  const count = body.readInt16BE(at)
  at += 2
  return Array.from({ length: count }, () => {
    const length = body.readInt32BE(at)
    const value = body.toString('utf8', at + 4, at + 4 + length)
    at += 4 + length
    return value
  })
}

/** The transaction status in the protocol. */
export type Status = 'I' | 'T' | 'E'

/** A row of texts, by column. */
export type Row = Readonly<Record<string, string | null>>

/** The messages of a successful login. */
export function welcome(pid: number, key: number): Buffer[] {
  return [
    message('R', int32(0)),
    ...Object.entries({ server_version: '18.0', client_encoding: 'UTF8', in_hot_standby: 'off' }).map(([name, value]) =>
      message('S', text(name), text(value)),
    ),
    message('K', int32(pid), int32(key)),
    ready('I'),
  ]
}

/** ReadyForQuery. */
export function ready(status: Status): Buffer {
  return message('Z', Buffer.from(status))
}

/** The rows of a statement, and its end. */
export function done(tag: string, rows?: readonly Row[]): Buffer[] {
  return [...(rows?.length ? table(rows) : []), message('C', text(tag))]
}

/** EmptyQueryResponse. */
export function nothingAsked(): Buffer {
  return message('I')
}

/** ParseComplete, if it was parsed, and BindComplete. */
export function bound(isParsed: boolean | undefined): Buffer[] {
  return [...(isParsed ? [message('1')] : []), message('2')]
}

/** ErrorResponse. The routine is where a server looks whether it has to end a statement or a session. */
export function failure(severity: 'ERROR' | 'FATAL', code: string, what: string): Buffer {
  const routine = ['57P01', '25P04', '57014'].includes(code) ? 'ProcessInterrupts' : 'ereport'
  const fields = { S: severity, V: severity, C: code, M: what, R: routine }
  return message('E', ...Object.entries(fields).map(([field, value]) => text(field + value)), Buffer.alloc(1))
}

function table(rows: readonly Row[]): Buffer[] {
  const names = Object.keys(rows[0] ?? {})
  // A column of no table, of type text, in text format.
  const column = (name: string): Buffer =>
    Buffer.concat([text(name), Buffer.from('00000000000000000019ffffffffffff0000', 'hex')])
  return [
    message('T', int16(names.length), ...names.map(column)),
    ...rows.map((row) => message('D', int16(names.length), ...names.map((name) => cell(row[name] ?? null)))),
  ]
}

function cell(value: string | null): Buffer {
  return value === null ? int32(-1) : Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)])
}

function message(letter: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body])
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
