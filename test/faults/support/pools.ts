import type { Duplex } from 'node:stream'
import { Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'

/**
 * `pg.Pool` used as its documentation advises: with a listener for `error` on the pool, and on each client. Without
 * them the faults shown here would end the test's own process; what they do to a program is shown in a child process.
 */
export class StockPool extends pg.Pool implements AsyncDisposable {
  constructor(config: pg.PoolConfig) {
    super(config)
    const ignore = (): void => {}
    this.on('error', ignore)
    this.on('connect', (client) => client.on('error', ignore))
  }

  /** Lets go of the sockets: `end()` would wait for those that never answer. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of socketsOf(this)) socket.destroy()
  }
}

/** The sockets of a stock pool. */
export function socketsOf(pool: StockPool): Duplex[] {
  const { _clients } = pool as unknown as { readonly _clients: readonly pg.Client[] }
  return _clients.map((client) => client.connection.stream)
}

/** Holdfast with timeouts as short as tests want them, and without any listener. */
export function holdfast(options: PoolOptions): Pool {
  return new Pool({
    closeTimeoutMillis: 500,
    connectionTimeoutMillis: 15_000,
    prePing: { idleMillis: 0, timeoutMillis: 300 },
    ...options,
  })
}

/** One of the two ways in which a program runs a statement. */
export interface Way {
  readonly way: string
  run(pool: pg.Pool, text: string, values?: unknown[]): Promise<pg.QueryResult>
}

/** Both of them. */
export const WAYS: readonly Way[] = [
  { way: 'pool.query', run: (pool, text, values) => pool.query(text, values) },
  {
    way: 'pool.connect',
    async run(pool, text, values) {
      const client = await pool.connect()
      try {
        return await client.query(text, values)
      } finally {
        client.release()
      }
    },
  },
]

/** Opens so many connections, and returns the process ids of their backends when all are idle. */
export async function warmUp(pool: pg.Pool, count: number): Promise<number[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()))
  const pids = await Promise.all(clients.map(backendPid))
  for (const client of clients) client.release()
  return pids
}

/** The process that serves a client, by its own word. */
export async function backendPid(client: pg.ClientBase | pg.Pool): Promise<number> {
  const { rows } = await (client as pg.Pool).query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid as number
}

/** The number of times that the pool emitted an event, from now on. */
export function countEvents(pool: pg.Pool, event: 'connect' | 'acquire' | 'release' | 'remove'): () => number {
  let count = 0
  pool.on(event as 'connect', () => {
    count++
  })
  return () => count
}
