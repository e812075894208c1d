import { Buffer } from 'node:buffer' // The global one is a getter, and this is asked five times a statement.
import type { Duplex } from 'node:stream'

/**
 * Has a socket send in one write what the driver writes between `cork` and `uncork`: the five messages of a statement
 * with parameters. Node would hand them over one by one: five buffers to the kernel, or five TLS records, each encrypted
 * by itself. The bytes on the wire are the same.
 */
export function joinWrites(stream: Duplex): void {
  if (typeof stream.cork !== 'function' || typeof stream.uncork !== 'function') return
  let held: Buffer[] | undefined
  let corks = 0
  const write = stream.write as (chunk: unknown, encoding?: unknown, callback?: unknown) => boolean

  function flush(): void {
    const chunks = held
    held = undefined
    if (chunks?.length) write.call(stream, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
  }
  stream.cork = () => {
    corks++
    held ??= []
  }
  stream.uncork = () => {
    corks = Math.max(0, corks - 1)
    if (corks === 0) flush()
  }
  stream.write = (chunk: unknown, encoding?: unknown, callback?: unknown): boolean => {
    if (held && encoding === undefined && Buffer.isBuffer(chunk)) {
      held.push(chunk)
      return true
    }
    flush() // Whatever else is written keeps its place.
    if (corks > 0) held = []
    return write.call(stream, chunk, encoding, callback)
  }
}
