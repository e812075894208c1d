import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { OptionsError } from '../errors.ts'
import { propertyOf } from '../thrown.ts'

/** What the driver passes to the function that makes its sockets. */
export interface SocketConfig {
  readonly ssl?: unknown
}

/**
 * PostgreSQL sends a long answer in portions of 8 KiB, and most answers have a hundred bytes. Two portions fit, which keeps a
 * thousand connections at 16 MiB; 64 KiB each, as Node has it, would be 64 MiB.
 */
const READ_BUFFER_BYTES = 16 * 1024

/**
 * Makes a socket for the driver. Node allocates 64 KiB for each read of a socket, then shrinks it to what has arrived. Here
 * each socket reads into one buffer of its own, and what has arrived is copied, which costs a fraction. No two sockets share
 * a buffer, so a session can never be shown the bytes of another one. Under TLS the bytes come out of the cipher, and the
 * socket is Node's own.
 */
export function makeSocket({ ssl }: SocketConfig): Duplex {
  if (ssl) return new Socket()
  const socket = new Socket({
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (length: number, buffer: Uint8Array) => socket.push(Buffer.from(buffer.subarray(0, length))),
    },
  } as object)
  // With a buffer of its own a paused socket stops reading. Node doesn't start it again for a `readable` listener.
  socket.on('newListener', (event) => event === 'readable' && process.nextTick(() => socket.read(0)))
  return socket
}

/**
 * Checks what a user's `stream` function returns. With anything but a socket the driver would throw where nothing catches it.
 *
 * @throws {OptionsError} when it doesn't make a socket.
 */
export function checkedSockets(make: (config?: SocketConfig) => unknown): (config?: SocketConfig) => Duplex {
  return (config) => {
    const made = make(config)
    if (['connect', 'on', 'write'].every((method) => typeof propertyOf(made, method) === 'function'))
      return made as Duplex
    destroyIfPromised(made)
    throw new OptionsError(['`stream` must return a socket, or be one: it got something that has no `connect`.'])
  }
}

/** A promise may still come to a socket. No code would ever close that one. */
function destroyIfPromised(made: unknown): void {
  if (typeof propertyOf(made, 'then') !== 'function') return
  Promise.resolve(made as PromiseLike<unknown>)
    .then((socket) => (socket as Duplex).destroy())
    .catch(() => {})
}

/** Whether this is Node. In other runtimes the driver makes its own kind of sockets. */
export const HAS_NODE_SOCKETS: boolean =
  process.release?.name === 'node' && process.versions.bun === undefined && process.versions.deno === undefined
