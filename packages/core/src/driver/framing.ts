/** A message begins with a letter and a length, which counts itself but not the letter. */
const HEADER = 5
const LEAST_LENGTH = 4
/** PostgreSQL makes no message of a gigabyte: none of its values is that long. */
const LONGEST = 2 ** 30 - 1
/** What libpq believes of messages that carry no data. */
const LONGEST_WITHOUT_DATA = 30_000

/** How long the message behind a letter may be; zero if the protocol has none. */
const LONGEST_BEHIND = new Uint32Array(256)
for (const letter of '123CGHIKRSWZcns') LONGEST_BEHIND[letter.charCodeAt(0)] = LONGEST_WITHOUT_DATA
for (const letter of 'ADENTVdt') LONGEST_BEHIND[letter.charCodeAt(0)] = LONGEST
const ERROR = 'E'.charCodeAt(0)
const NOTICE = 'N'.charCodeAt(0)

/** Where the driver must stop reading a chunk, and why. */
export interface FramingFault {
  /** The length of what comes before. */
  readonly readable: number
  readonly reason: string
}

/**
 * Looks at the frames of what a server sends before the driver does. The driver waits for two gigabytes if a length says
 * so; and it reads the fields of an error up to their end, in an endless loop if there is none. Looks at headers and, of
 * errors and notices, at the last two bytes; keeps no data.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class Framing {
  /** The beginning of a header whose rest is still to come. */
  readonly #header = Buffer.alloc(HEADER)
  #headerLength = 0
  /** How much of the present message is still to come. */
  #left = 0
  /** Whether it is made of fields: a zero byte ends each, and one more ends them all. */
  #hasFields = false
  /** Its last two bytes so far. */
  #tail = 0

  /** What is wrong with the messages that this chunk continues, or begins; undefined if nothing is. */
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
          if (this.#headerLength < HEADER) return undefined // The rest of it is still to come.
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
    const longest = LONGEST_BEHIND[letter] as number
    if (longest === 0) return `received invalid response: ${letter.toString(16)}` // As the driver has it.
    if (length < LEAST_LENGTH || length > longest)
      return `a message ${String.fromCharCode(letter)} that claims to be ${length} bytes long`
    this.#left = length - LEAST_LENGTH
    this.#hasFields = letter === ERROR || letter === NOTICE
    this.#tail = -1
    return undefined
  }

  /** Without any fields it is one zero byte, before which there is nothing. */
  #isEnded(): boolean {
    return (this.#tail & 0xffff) === 0 || this.#tail === ONLY_ZERO
  }
}

/** What `#tail` is behind a single zero byte. */
const ONLY_ZERO = -1 << 8
