import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** What the driver tells whoever makes its sockets. */
export interface SocketConfig {
  readonly ssl?: unknown
}

// Where whatever arrives is put down before it is copied: by one socket at a time, each within one turn.
const ARRIVALS = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Makes a socket for the driver. Node allocates 64 KiB for each read of a socket, to shrink it to what has arrived; an
 * answer is a hundred bytes, and copying those costs a fraction. Not on Windows, which reads ahead into the buffer, nor
 * under TLS, where the bytes come out of the cipher.
 */
export function makeSocket({ ssl }: SocketConfig): Duplex {
  if (ssl || process.platform === 'win32') return new Socket()
  const socket = new Socket({
    onread: {
      buffer: ARRIVALS,
      callback: (length: number, buffer: Uint8Array) => socket.push(Buffer.from(buffer.subarray(0, length))),
    },
  } as object)
  // With a buffer of its own a paused socket stops reading, and would not begin again for this kind of reader.
  socket.on('newListener', (event) => event === 'readable' && process.nextTick(() => socket.read(0)))
  return socket
}

/** Whether Node's own sockets may be had at all: not in other runtimes, for which the driver has its own. */
export const HAS_NODE_SOCKETS: boolean =
  process.release?.name === 'node' && process.versions.bun === undefined && process.versions.deno === undefined
