import { randomUUID } from 'node:crypto'
import type { ConnectionInspection, PoolStatus } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { Cluster, until } from '../support/index.ts'
import { Customers, type Visit } from './support/customers.ts'
import { Service } from './support/service.ts'

const CUSTOMERS = 6
const WORKERS = ['worker-1', 'worker-2']
const SHARE = 5

/** What a worker tells of itself, and of all as the server sees them. */
interface Told {
  readonly worker: string
  readonly status: PoolStatus
  readonly connections: readonly ConnectionInspection[]
  readonly sessions: readonly { readonly application_name: string; readonly pids: readonly number[] }[]
}

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    return cluster
  })
  .extend('service', async ({ cluster }, { onCleanup }) => {
    const service = await Service.start('cluster.ts', { databaseUrl: cluster.url })
    onCleanup(() => service[Symbol.asyncDispose]())
    return service
  })

describe('cluster.ts', () => {
  test('each worker has connections of its own, told apart in pg_stat_activity', async ({ service, cluster }) => {
    await using customers = new Customers(service, CUSTOMERS, order)
    await seen(service, WORKERS)
    await customers.leave()
    expect(customers.failures).toEqual([])
    const workers = await seen(service, WORKERS)
    expect(new Set(workers.map(({ status }) => status.pid)).size).toBe(2)
    for (const { worker, status, connections, sessions } of workers) {
      const pids = (await cluster.sessions({ applicationName: `shop ${worker}` })).map(({ pid }) => pid)
      expect(status).toMatchObject({ name: worker, max: SHARE })
      expect(pids).toEqual(expect.arrayContaining(connections.map(({ backendPid }) => backendPid)))
      expect(pids.length).toBeLessThanOrEqual(SHARE)
      expect(sessions).toContainEqual({ application_name: `shop ${worker}`, pids: expect.any(Array) })
    }
  })

  test('the process that starts the workers has let go of its connections', async ({ service, cluster }) => {
    await using _customers = new Customers(service, CUSTOMERS, order)
    await seen(service, WORKERS)
    const names = new Set((await cluster.sessions()).map(({ applicationName }) => applicationName))
    expect([...names].toSorted()).toEqual(['shop worker-1', 'shop worker-2'])
  })

  test.for(['fast', 'immediate'] as const)(
    'no request fails during a restart: %s',
    async (mode, { service, cluster }) => {
      const keys: string[] = []
      await using customers = new Customers(service, CUSTOMERS, async (insist) => {
        const key = randomUUID()
        await insist({ method: 'POST', path: '/orders', key, body: { cents: 5 } })
        keys.push(key)
      })
      await seen(service, WORKERS)
      await cluster.restart(mode)
      const before = customers.served
      await until(() => customers.served > before + 20 || customers.failures.length > 0)
      await customers.leave()
      expect(customers.failures).toEqual([])
      expect(customers.repeated.length).toBeLessThanOrEqual(CUSTOMERS)
      expect(await cluster.query('select from orders where key = any($1)', [keys])).toHaveLength(keys.length)
    },
  )

  test('the death of one worker does not disturb the other', async ({ service, cluster }) => {
    await using customers = new Customers(service, CUSTOMERS, orderAnywhere)
    const [victim, other] = await seen(service, WORKERS)
    const sessionsOf = (worker: string | undefined): Promise<number[]> =>
      cluster.sessions({ applicationName: `shop ${worker}` }).then((sessions) => sessions.map(({ pid }) => pid))
    const before = await sessionsOf(other?.worker)
    process.kill(victim?.status.pid as number, 'SIGKILL')
    await until(async () => (await sessionsOf(victim?.worker)).length === 0)
    // A third takes its place; the other goes on with what it has.
    const [, third] = await seen(service, ['worker-2', 'worker-3'])
    await customers.leave()
    expect(await sessionsOf(third?.worker)).not.toEqual([])
    expect(await sessionsOf(other?.worker)).toEqual(expect.arrayContaining(before))
    expect(customers).toMatchObject({ failures: [], repeated: [] })
  })

  test.for(['SIGTERM', 'SIGINT'] as const)(
    'on %s all of them end without a trace',
    async (signal, { service, cluster }) => {
      await using customers = new Customers(service, CUSTOMERS, order)
      const workers = await seen(service, WORKERS)
      service.signal(signal)
      // As a Ctrl-C does, which reaches every process of the terminal.
      for (const { status } of workers) process.kill(status.pid, signal)
      expect(await service.ends()).toEqual({ code: 0, stderr: '' })
      await customers.leave()
      // They weren't let in any more, which isn't an answer.
      for (const failure of customers.failures) expect(failure).toMatchObject({ message: 'fetch failed' })
      await until(async () => (await cluster.countSessions()) === 0)
    },
  )
})

const order: Visit = async (insist) => {
  await insist({ method: 'POST', path: '/orders', key: randomUUID(), body: { cents: 5 } })
}

/** As {@link order}, for customers who repeat as well what nobody has answered. */
const orderAnywhere: Visit = async (insist) => {
  const key = randomUUID()
  for (;;) {
    try {
      await insist({ method: 'POST', path: '/orders', key, body: { cents: 5 } })
      return
    } catch (error) {
      if (!(error instanceof TypeError && error.message === 'fetch failed')) throw error
    }
  }
}

/** What these workers tell: requests go to each in turn. */
async function seen(service: Service, names: readonly string[]): Promise<Told[]> {
  const workers = new Map<string, Told>()
  return until(
    async () => {
      const { body } = await service.ask({ method: 'GET', path: '/workers', isAlone: true })
      const told = body as Told
      workers.set(told.worker, told)
      return names.every((name) => workers.has(name)) && names.map((name) => workers.get(name) as Told)
    },
    { what: `${names.join(' and ')} to answer` },
  )
}
