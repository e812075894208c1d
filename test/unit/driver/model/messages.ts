/** A message of a server: a letter, a length, a body. */
export function message(letter: string, ...parts: readonly (Buffer | string | number)[]): Buffer {
  const body = Buffer.concat(parts.map(bytesOf))
  return Buffer.concat([Buffer.from(letter, 'latin1'), int32(body.length + 4), body])
}

/** A text with the zero byte that ends it. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

/** A signed number of two bytes. */
export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

/** A signed number of four bytes. */
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0)
  return bytes
}

/** Describes rows of texts. */
export function rowDescription(...names: readonly string[]): Buffer {
  const rest = Buffer.from('00000000000000000019ffffffffffff0000', 'hex')
  return message('T', int16(names.length), ...names.flatMap((name) => [text(name), rest]))
}

/** One row of texts. */
export function dataRow(...values: readonly (string | null)[]): Buffer {
  const cell = (value: string | null): Buffer =>
    value === null ? int32(-1) : Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)])
  return message('D', int16(values.length), ...values.map(cell))
}

/** An error, or a notice. */
export function errorResponse(severity: string, code: string, what: string, letter = 'E'): Buffer {
  return message(
    letter,
    text(`S${severity}`),
    text(`V${severity}`),
    text(`C${code}`),
    text(`M${what}`),
    Buffer.alloc(1),
  )
}

function bytesOf(part: Buffer | string | number): Buffer {
  return Buffer.isBuffer(part) ? part : typeof part === 'string' ? Buffer.from(part) : int32(part)
}
