import type { Readable } from 'node:stream'
import type pg from 'pg'
import { settles } from '../../faults/support/settling.ts'

/** What a callback is called with. */
// biome-ignore lint/suspicious/noExplicitAny: a callback for every function that takes one.
export async function calledWith(start: (callback: (...all: any[]) => void) => unknown): Promise<unknown[]> {
  const called = new Promise<unknown[]>((resolve) => void start((...all) => resolve(all)))
  return settles(called, 'the callback')
}

/** The arguments of the next event of that name; unlike `once`, not concerned by an `error` before. */
export async function told(emitter: NodeJS.EventEmitter, event: string): Promise<unknown[]> {
  const next = new Promise<unknown[]>((resolve) => emitter.once(event, (...all) => resolve(all)))
  return settles(next, `the event '${event}'`)
}

/** Everything that a stream has to give. */
export async function collect<T>(stream: Readable): Promise<T[]> {
  const all: T[] = []
  const end = (async () => {
    for await (const item of stream) all.push(item)
  })()
  await settles(end, 'the end of the stream')
  return all
}

/** A client for as long as the callback lasts. */
export async function withClient<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await settles(pool.connect(), 'the client')
  try {
    return await work(client)
  } finally {
    client.release()
  }
}
