import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { ConnectionInspection, PoolStatus } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { Cluster, until } from '../support/index.ts'
import { Customers, type Purchase } from './support/customers.ts'
import { Service } from './support/service.ts'

const CUSTOMERS = 6
const WORKERS = ['worker-1', 'worker-2']
const SHARE = 5
/** A worker that doesn't end its pool exits later: after 10 s its idle connections close. */
const SOON_MILLIS = 8000

/** The answer of a worker: its own pool, and the sessions of all workers as the server sees them. */
interface WorkerReport {
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
  test('cluster.ts gives each worker its own connections, with its name', async ({ service, cluster }) => {
    await using customers = new Customers(service, CUSTOMERS, order)
    await seen(service, WORKERS)
    await customers.leave()
    expect(customers.failures).toEqual([])
    const workers = await seen(service, WORKERS)
    expect(new Set(workers.map(({ status }) => status.pid)).size).toBe(2)
    for (const { worker, status, sessions } of workers) {
      expect(status).toMatchObject({ name: worker, max: SHARE })
      expect(sessions.map(({ application_name }) => application_name)).toContain(`shop ${worker}`)
    }
    await until(
      async () => {
        const [first, second] = (await seen(service, WORKERS)).map(backends)
        return isDeepStrictEqual([first, second], await Promise.all(WORKERS.map((name) => sessionsOf(cluster, name))))
      },
      { what: 'the server to see the connections of each worker' },
    )
  })

  test('cluster.ts closes the connections of the process that starts the workers', async ({ service, cluster }) => {
    await using _customers = new Customers(service, CUSTOMERS, order)
    await seen(service, WORKERS)
    // A session that still logs in has no name.
    const named = (await cluster.sessions()).filter(({ applicationName }) => applicationName !== '')
    expect(new Set(named.map(({ applicationName }) => applicationName))).toEqual(
      new Set(WORKERS.map((name) => `shop ${name}`)),
    )
  })

  test.for(['fast', 'immediate'] as const)(
    'cluster.ts fails no request during a restart: %s',
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

  test('cluster.ts keeps one worker running when the other one dies', async ({ service, cluster }) => {
    await using customers = new Customers(service, CUSTOMERS, orderAnywhere)
    const [victim, other] = await seen(service, WORKERS)
    const before = await sessionsOf(cluster, other?.worker)
    process.kill(victim?.status.pid as number, 'SIGKILL')
    await until(async () => (await sessionsOf(cluster, victim?.worker)).length === 0)
    // A third worker replaces it. The other one keeps its connections.
    const [, third] = await seen(service, ['worker-2', 'worker-3'])
    await customers.leave()
    expect(third?.connections).not.toEqual([])
    expect(await sessionsOf(cluster, other?.worker)).toEqual(expect.arrayContaining(before))
    expect(customers).toMatchObject({ failures: [], repeated: [] })
  })

  test.for(['SIGTERM', 'SIGINT'] as const)(
    'cluster.ts ends all workers on %s, without an error',
    async (signal, { service, cluster }) => {
      await using customers = new Customers(service, CUSTOMERS, order)
      const workers = await seen(service, WORKERS)
      service.signal(signal)
      // As by Ctrl-C, which every process of the terminal receives.
      for (const { status } of workers) process.kill(status.pid, signal)
      await until(() => !service.isRunning, { timeoutMillis: SOON_MILLIS, what: 'the pools to be ended' })
      expect(await service.ends()).toEqual({ code: 0, stderr: '' })
      await customers.leave()
      // Their connections were refused, so they got no answer.
      for (const failure of customers.failures) expect(failure).toMatchObject({ message: 'fetch failed' })
      await until(async () => (await cluster.countSessions()) === 0)
    },
  )
})

const order: Purchase = async (insist) => {
  await insist({ method: 'POST', path: '/orders', key: randomUUID(), body: { cents: 5 } })
}

/**
 * As {@link order}, and repeats requests that got no answer. `node:cluster` still sends connections to a dead worker until
 * it notices the death, and drops them.
 */
const orderAnywhere: Purchase = async (insist) => {
  const key = randomUUID()
  for (;;) {
    try {
      await insist({ method: 'POST', path: '/orders', key, body: { cents: 5 }, timeoutMillis: 1000 })
      return
    } catch (error) {
      if (!isUnanswered(error)) throw error
    }
  }
}

function isUnanswered(error: unknown): boolean {
  return error instanceof Error && (error.message === 'fetch failed' || error.name === 'TimeoutError')
}

/** The server processes of a worker's connections, as the worker reports them. */
function backends({ connections }: WorkerReport): (number | null)[] {
  return connections.map(({ backendPid }) => backendPid).toSorted()
}

/** The server processes of a worker's connections, as the server reports them. */
async function sessionsOf(cluster: Cluster, worker: string | undefined): Promise<number[]> {
  const sessions = await cluster.sessions({ applicationName: `shop ${worker}` })
  return sessions.map(({ pid }) => pid).toSorted()
}

/** The reports of these workers. Requests go to each worker in turn. */
async function seen(service: Service, names: readonly string[]): Promise<WorkerReport[]> {
  const workers = new Map<string, WorkerReport>()
  return until(
    async () => {
      const { body } = await service.ask({ method: 'GET', path: '/workers', isAlone: true })
      const report = body as WorkerReport
      workers.set(report.worker, report)
      return names.every((name) => workers.has(name)) && names.map((name) => workers.get(name) as WorkerReport)
    },
    { what: `${names.join(' and ')} to answer` },
  )
}
