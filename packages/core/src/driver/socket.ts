import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { OptionsError } from '../errors.ts'
import { propertyOf } from '../thrown.ts'

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

/**
 * A user's way of making sockets, looked at: the driver would fail of anything else where nobody could catch it.
 *
 * @throws {OptionsError} when it doesn't make a socket.
 */
export function checkedSockets(make: (config?: SocketConfig) => unknown): (config?: SocketConfig) => Duplex {
  return (config) => {
    const made = make(config)
    if (['connect', 'on', 'write'].every((method) => typeof propertyOf(made, method) === 'function'))
      return made as Duplex
    letGo(made)
    throw new OptionsError(['`stream` must return a socket, or be one: it got something that has no `connect`.'])
  }
}

/** What a promise comes to is nobody's; it shall not stay open. */
function letGo(made: unknown): void {
  if (typeof propertyOf(made, 'then') !== 'function') return
  Promise.resolve(made as PromiseLike<unknown>)
    .then((socket) => (socket as Duplex).destroy())
    .catch(() => {})
}

/** Whether Node's own sockets may be had at all: not in other runtimes, for which the driver has its own. */
export const HAS_NODE_SOCKETS: boolean =
  process.release?.name === 'node' && process.versions.bun === undefined && process.versions.deno === undefined
