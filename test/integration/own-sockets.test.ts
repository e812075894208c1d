import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type Server, Socket } from 'node:net'
import { Pool } from '@holdfast/core'
import type pg from 'pg'
import { expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection } from '../faults/support/settling.ts'
import { type Cluster, type FaultProxy, until } from '../support/index.ts'

/** Where the configuration leads: not to the server, which only sockets of the user's own reach. */
// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
const test = base.extend('decoy', async ({}, { onCleanup }) => {
  let calls = 0
  const server: Server = createServer((socket) => {
    calls++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onCleanup(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  const { port } = server.address() as { port: number }
  return { port, calls: () => calls }
})

/** A socket that connects through the proxy, whatever address it gets. */
function tunnel({ host, port }: FaultProxy): Socket {
  const socket = new Socket()
  const { connect } = socket as unknown as { connect(port: number, host: string): void }
  return Object.assign(socket, { connect: () => connect.call(socket, port, host) }) as Socket
}

async function isAsleep(cluster: Cluster, applicationName: string): Promise<boolean> {
  return (await cluster.sessions({ state: 'active', applicationName })).length > 0
}

/** Runs a statement of a minute, gives it up, and waits until the server has, too. */
async function giveUp(pool: Pool, cluster: Cluster, applicationName: string): Promise<void> {
  const controller = new AbortController()
  const { signal } = controller
  const running = rejection(pool.query({ text: 'select pg_sleep(60)', signal } as pg.QueryConfig))
  await until(() => isAsleep(cluster, applicationName), { what: 'the statement to run' })
  controller.abort()
  expect(await running).toBe(signal.reason)
  await until(async () => !(await isAsleep(cluster, applicationName)), { what: 'the statement to end' })
}

test('a statement that is given up is cancelled over a socket of the function that makes them, and no other', async ({
  direct,
  cluster,
  proxy,
  decoy,
}) => {
  const callers = new AsyncLocalStorage<string>()
  const makers: (string | undefined)[] = []
  const stream = (): Socket => {
    makers.push(callers.getStore())
    return tunnel(proxy)
  }
  await using pool = new Pool({ ...direct, port: decoy.port, stream, max: 1 })
  await callers.run('the caller', () => giveUp(pool, cluster, direct.application_name))
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(pool.totalCount).toBe(1)
  expect(proxy.accepted).toBe(2)
  expect(decoy.calls()).toBe(0)
  expect(makers).toEqual([undefined, undefined])
})

test('where the one socket is given, nothing goes to the server by another: the session is closed instead', async ({
  direct,
  cluster,
  proxy,
  decoy,
}) => {
  const stream = tunnel(proxy)
  const options = { ...direct, port: decoy.port, stream, max: 1, clientConnectionCheckMillis: 100 }
  await using pool = new Pool(options as object)
  await giveUp(pool, cluster, direct.application_name)
  expect(pool.totalCount).toBe(0)
  expect(proxy.accepted).toBe(1)
  expect(decoy.calls()).toBe(0)
})

test('where the one socket is given, a lost COMMIT is not asked for by another, and not over that one', async ({
  direct,
  proxy,
  decoy,
}) => {
  const stream = tunnel(proxy)
  await using pool = new Pool({ ...direct, port: decoy.port, stream, max: 1 } as object)
  const client = await pool.connect()
  await client.query('begin')
  await client.query("insert into entry values ('by one socket')")
  proxy.swallow()
  const commit = rejection(client.query('commit'))
  proxy.cut('rst')
  expect(await commit).toMatchObject({ commitOutcome: 'unknown' })
  client.release()
  expect(proxy.accepted).toBe(1)
  expect(decoy.calls()).toBe(0)
})
