import type { Client } from 'pg'
import { isUnexpectedMessage } from '../policy/classify-error.ts'
import { whileDriverReads } from '../runtime/context.ts'
import { codeOf, isError, messageOf } from '../thrown.ts'
import { internalsOf, type ReadingProtocol } from './internals.ts'

/** A message begins with a letter and a length, which counts itself but not the letter. */
const HEADER = 5
const LEAST_LENGTH = 4
/** PostgreSQL makes no message of a gigabyte: none of its values is that long. */
const LONGEST = 2 ** 30 - 1
/** The longest message without data that libpq accepts. */
const LONGEST_WITHOUT_DATA = 30_000

/** How long the message of each type may be; zero if the protocol has no such type. */
const LONGEST_OF_TYPE = new Uint32Array(256)
for (const letter of '123CGHIKRSWZcns') LONGEST_OF_TYPE[letter.charCodeAt(0)] = LONGEST_WITHOUT_DATA
for (const letter of 'ADENTVdt') LONGEST_OF_TYPE[letter.charCodeAt(0)] = LONGEST
const ERROR = 'E'.charCodeAt(0)
const NOTICE = 'N'.charCodeAt(0)

/** Where the driver must stop reading a chunk, and why. */
export interface FramingFault {
  /** The length of what comes before. */
  readonly readable: number
  readonly reason: string
}

/**
 * Checks the frames of what a server sends before the driver parses it. The driver waits for two gigabytes if a length says
 * so, and reads the fields of an error in an endless loop if they have no end. This checks the headers and, of errors and
 * notices, the last two bytes. It keeps no data.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class Framing {
  /** The first bytes of a header that hasn't arrived completely. */
  readonly #header = Buffer.alloc(HEADER)
  #headerLength = 0
  /** How many bytes of the present message have not arrived. */
  #left = 0
  /** Whether it is made of fields: a zero byte ends each, and one more ends them all. */
  #hasFields = false
  /** Its last two bytes so far. */
  #tail = 0

  /** The first fault in this chunk, which may continue a message of the chunk before; undefined if there is none. */
  check(chunk: Buffer): FramingFault | undefined {
    let at = 0
    while (at < chunk.length) {
      const start = at
      if (this.#left === 0) {
        let header = chunk
        let from = at
        if (this.#headerLength > 0 || at + HEADER > chunk.length) {
          const copied = chunk.copy(this.#header, this.#headerLength, at)
          this.#headerLength += copied
          at += copied
          if (this.#headerLength < HEADER) return undefined // The rest comes with the next chunk.
          this.#headerLength = 0
          header = this.#header
          from = 0
        } else at += HEADER
        const reason = this.#begin(header[from] as number, header.readUInt32BE(from + 1))
        if (reason) return { readable: start, reason }
      }
      const end = Math.min(chunk.length, at + this.#left)
      this.#left -= end - at
      if (this.#hasFields) {
        for (let index = Math.max(at, end - 2); index < end; index++)
          this.#tail = (this.#tail << 8) | (chunk[index] as number)
        if (this.#left === 0 && !this.#isEnded())
          return { readable: start, reason: 'an error or a notice without an end' }
      }
      at = end
    }
    return undefined
  }

  #begin(letter: number, length: number): string | undefined {
    const longest = LONGEST_OF_TYPE[letter] as number
    if (longest === 0) return `received invalid response: ${letter.toString(16)}` // The driver's own words.
    if (length < LEAST_LENGTH || length > longest)
      return `a message ${String.fromCharCode(letter)} that claims to be ${length} bytes long`
    this.#left = length - LEAST_LENGTH
    this.#hasFields = letter === ERROR || letter === NOTICE
    this.#tail = -1
    return undefined
  }

  /** A message without fields consists of one zero byte. */
  #isEnded(): boolean {
    return (this.#tail & 0xffff) === 0 || this.#tail === ONLY_ZERO
  }
}

/** The value of `#tail` after a single zero byte. */
const ONLY_ZERO = -1 << 8

type DataListener = (chunk: Buffer) => void

/** Guards the reading of a client: see `guardReading`. */
export function guardClient(client: Client, onFault: (fault: Error) => void): void {
  guardReading(internalsOf(client).connection, onFault)
}

/**
 * Catches what the driver throws when a server sends unexpected data, so that it ends only the connection. The driver
 * parses messages and acts on them in events of the socket, where an exception ends the process. `onFault` is called for
 * the first fault, and has to end the socket. What the user's code throws in there is not caught: see `runUserCode`.
 *
 * Comes before `connect`. A protocol layer of another kind is left as it is.
 */
export function guardReading(protocol: ReadingProtocol, onFault: (fault: Error) => void): void {
  const { attachListeners, startup, upgradeToSSL } = protocol
  if (typeof attachListeners !== 'function') return
  let isOver = false

  function fail(fault: unknown): void {
    if (isOver) return
    isOver = true
    onFault(violation(fault))
  }
  function catchFaults<Input>(act: (input: Input) => void, input: Input): void {
    try {
      whileDriverReads(act, input)
    } catch (fault) {
      if (isBug(fault)) throw fault
      fail(fault)
    }
  }
  function guard(listener: DataListener, framing: Framing): DataListener {
    return (chunk) => {
      if (isOver) return
      const fault = framing.check(chunk)
      if (!fault) return catchFaults(listener, chunk)
      if (fault.readable > 0) catchFaults(listener, chunk.subarray(0, fault.readable))
      fail(new Error(`The server sent what is no message: ${fault.reason}`))
    }
  }
  // Replaces the driver's listener by one of the same event, so that code that looks for a listener there finds one.
  protocol.attachListeners = (stream) => {
    const others = stream.listeners('data')
    attachListeners.call(protocol, stream)
    const framing = new Framing()
    for (const listener of stream.listeners('data') as DataListener[]) {
      if (others.includes(listener)) continue
      stream.removeListener('data', listener)
      stream.on('data', guard(listener, framing))
    }
  }
  // Here the driver throws for options of a wrong type: that isn't the server's fault.
  function begin(act: () => void): void {
    try {
      act()
    } catch (problem) {
      protocol.emit('error', problem)
    }
  }
  protocol.startup = (config) => begin(() => startup.call(protocol, config))
  if (upgradeToSSL) protocol.upgradeToSSL = (host, report) => begin(() => upgradeToSSL.call(protocol, host, report))
}

/** Adds the message or the code that an error of the driver or the server lacks. */
export function clarified<Cause>(cause: Cause): Cause {
  try {
    if (isUnexpectedMessage(cause)) violation(cause)
  } catch {} // An error that can't be inspected is reported unchanged.
  if (hasNoMessage(cause)) extend(cause, { message: 'The server sent an error without a message' })
  return cause
}

/** Whether this is an error of the server without a message. An AggregateError has none either, but has its errors. */
function hasNoMessage(cause: unknown): cause is Error {
  try {
    return cause instanceof Error && !cause.message && 'severity' in cause
  } catch {
    return false
  }
}

/** Our own bugs are never caught. */
function isBug(fault: unknown): boolean {
  return isError(fault) && messageOf(fault).startsWith('BUG: ')
}

/** The error of a driver that can't continue, with PostgreSQL's code for that: protocol_violation. */
export function violation(fault: unknown): Error {
  const error = isError(fault) ? fault : new Error('The driver could not read an answer', { cause: fault })
  const code = codeOf(error)
  // A code of Node's says where the driver failed, and not what that means.
  if (code === undefined || code.startsWith('ERR_')) extend(error, { code: '08P01' })
  return error
}

/** What was thrown may be frozen, or a Proxy that throws. */
function extend(error: Error, facts: object): void {
  try {
    if (Object.isExtensible(error)) Object.assign(error, facts)
  } catch {}
}
