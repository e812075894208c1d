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
