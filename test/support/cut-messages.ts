/** Cuts what one side writes into its messages. Until a client has begun, a message has no letter. */
export class CutMessages {
  hasBegun: boolean
  #unread: Buffer = Buffer.alloc(0)

  constructor(hasBegun = false) {
    this.hasBegun = hasBegun
  }

  /** The messages that these bytes complete, with their letters and lengths. */
  add(chunk: Buffer): Iterable<Buffer> {
    this.#unread = Buffer.concat([this.#unread, chunk])
    return this.#cut()
  }

  *#cut(): Iterable<Buffer> {
    for (let message = this.#next(); message; message = this.#next()) yield message
  }

  #next(): Buffer | undefined {
    const letters = this.hasBegun ? 1 : 0
    if (this.#unread.length < letters + 4) return undefined
    const length = letters + this.#unread.readInt32BE(letters)
    if (this.#unread.length < length) return undefined
    const message = this.#unread.subarray(0, length)
    this.#unread = this.#unread.subarray(length)
    return message
  }
}
