import { once } from 'node:events'
import { Pool } from '@holdfast/core'
import pg from 'pg'
import { scriptedClient } from '../scripted/client.ts'
import type { WeighCommand, Weights } from './sample.ts'

// The process that weighs one pool, once.

// Ctrl-C reaches the whole group of processes; the bench waits for this one, which doesn't take long.
process.on('SIGINT', () => {})

const [command] = (await once(process, 'message')) as [WeighCommand]
process.send?.(await weights(command), () => process.exit())

async function weights({ contestant, connections, waiters }: WeighCommand): Promise<Weights> {
  const Client = scriptedClient()
  // Code that has never run is compiled at its first run, and would be weighed too.
  await bareClients(Client, 10)
  await poolOf(contestant, 10, 10)
  const bareClient = await bareClients(Client, connections)
  return { bareClient, ...(await poolOf(contestant, connections, waiters)) }
}

async function bareClients(Client: typeof pg.Client, count: number): Promise<number> {
  const before = await heap()
  const clients = Array.from({ length: count }, () => new Client())
  await Promise.all(clients.map((client) => client.connect()))
  const bytes = ((await heap()) - before) / count
  await Promise.all(clients.map((client) => client.end()))
  return bytes
}

async function poolOf(
  contestant: WeighCommand['contestant'],
  connections: number,
  waiters: number,
): Promise<Omit<Weights, 'bareClient'>> {
  const settings = { Client: scriptedClient(), max: connections, connectionTimeoutMillis: 30_000 }
  const pool = contestant === 'holdfast' ? new Pool(settings) : new pg.Pool(settings)
  const empty = await heap()
  for (const client of await leaseAll(pool, connections)) client.release()
  const idle = await heap()
  const leased = await leaseAll(pool, connections)
  const before = await heap()
  const served = Array.from({ length: waiters }, () => pool.connect().then((client) => client.release()))
  const waiting = await heap()
  for (const client of leased) client.release()
  await Promise.all(served)
  await pool.end()
  return { idleConnection: (idle - empty) / connections, waiter: (waiting - before) / waiters }
}

function leaseAll(pool: pg.Pool, count: number): Promise<pg.PoolClient[]> {
  return Promise.all(Array.from({ length: count }, () => pool.connect()))
}

/** What is alive, in bytes. */
async function heap(): Promise<number> {
  for (let times = 0; times < 4; times++) {
    // Lets promises settle, and finalizers run.
    await new Promise((resolve) => setImmediate(resolve))
    await globalThis.gc?.({ type: 'major', execution: 'async' })
  }
  return process.memoryUsage().heapUsed
}
