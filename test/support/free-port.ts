import { once } from 'node:events'
import net from 'node:net'

/**
 * A random port from 10,000 to 29,999: below the range from which systems take source ports (32,768 and up on Linux). Inside that
 * range, which `listen(0)` picks from, a client that retries against a stopped server can get the server's own port as its source
 * port, connect to itself and keep the port occupied. Random and not in order (as get-port tries them), so that processes that run
 * at the same time rarely meet. Workers of vitest never do, at most ten of them: one could get the port of a server that another has
 * stopped for a while.
 */
function randomPort(): number {
  const worker = process.env.VITEST_POOL_ID
  const first = worker === undefined ? 0 : (Number(worker) % WORKERS) * PORTS_OF_WORKER
  const count = worker === undefined ? WORKERS * PORTS_OF_WORKER : PORTS_OF_WORKER
  return 10_000 + first + Math.floor(Math.random() * count)
}

const WORKERS = 10
const PORTS_OF_WORKER = 2000

/** Whether the error says that another process has the port. */
export function isPortTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}

/**
 * Listens on 127.0.0.1 at the given port. Rejects with the socket's own error, such as EADDRINUSE. Also resolves when the server is
 * closed before it listens.
 */
export function listen(server: net.Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => () => {
      server.off('error', failed).off('listening', done).off('close', done)
      end()
    }
    const done = settle(resolve)
    const failed = (error: Error): void => settle(() => reject(error))()
    server.once('error', failed).once('listening', done).once('close', done)
    server.listen(port, '127.0.0.1')
  })
}

/** Listens on 127.0.0.1 at a free port outside the ephemeral range. Returns the port. */
export async function listenOnFreePort(server: net.Server): Promise<number> {
  for (;;) {
    const port = randomPort()
    try {
      await listen(server, port)
      return port
    } catch (error) {
      if (!isPortTaken(error)) throw error
    }
  }
}

/**
 * A port of 127.0.0.1 that was free a moment ago, outside the ephemeral range. For servers that can't be given a listening
 * socket. Another process may take it first, so be prepared to ask again.
 */
export async function freePort(): Promise<number> {
  const server = net.createServer()
  const port = await listenOnFreePort(server)
  server.close()
  await once(server, 'close')
  return port
}
