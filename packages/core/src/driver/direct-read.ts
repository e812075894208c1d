import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { HAS_NODE_SOCKETS } from './socket.ts'

/**
 * Has a socket hand what arrives straight to the driver. After each arrival Node would look in another tick whether there
 * is more to be read, although a socket that is read tells that by itself; the tick costs a third of what the pool does.
 */
export function readDirectly(stream: Duplex): void {
  if (!HAS_NODE_SOCKETS || !isPushedTo(stream)) return
  const push = stream.push as (chunk: unknown, encoding?: BufferEncoding) => boolean
  stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    const isAwaited = stream.readableFlowing && stream.readableLength === 0 && stream.readableEncoding === null
    if (!isAwaited || !Buffer.isBuffer(chunk)) return push.call(stream, chunk, encoding)
    stream.emit('data', chunk)
    return true
  }
}

/** Whether it is Node that reads, until it is stopped, and pushes: other streams read when they are asked. */
function isPushedTo({ _read, push }: Duplex): boolean {
  return _read === Socket.prototype._read && push === Socket.prototype.push
}
