import { Logger, type Runner, run } from 'graphile-worker'
import type pg from 'pg'
import { beforeEach, describe, expect, vi } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { warmUp } from '../faults/support/pools.ts'
import { settles } from '../faults/support/settling.ts'
import { unnoticed } from '../faults/support/unnoticed.ts'
import { type Cluster, type FaultProxy, until } from '../support/index.ts'
import { HOLDFAST, LIBRARIES, STOCK } from './support/libraries.ts'

const SIZE = 4

const test = base.extend('schema', ({ applicationName }) => `worker_of_${applicationName.replace(/\W/g, '_')}`)

/** So seldom that whatever a worker learns, it learns by NOTIFY. */
const NEVER = 600_000

/** A worker that enters the ids of its jobs. */
function startWorker(pool: pg.Pool, schema: string, pollInterval = NEVER): Promise<Runner> {
  return run({
    pgPool: pool,
    schema,
    concurrency: 2,
    noHandleSignals: true,
    pollInterval,
    logger: new Logger(() => () => {}),
    taskList: {
      async enter(payload, { withPgClient }) {
        const { id } = payload as { id: string }
        await withPgClient((client) => client.query('insert into entry values ($1)', [id]))
      },
    },
  })
}

/** Adds a job as some other program would. */
async function addJob(cluster: Cluster, schema: string, id: string): Promise<void> {
  await cluster.query(`select ${schema}.add_job('enter', json_build_object('id', $1::text))`, [id])
}

async function isEntered(cluster: Cluster, id: string): Promise<void> {
  await until(async () => (await cluster.query('select from entry where id = $1', [id])).length === 1, {
    what: `the job '${id}' to be done`,
  })
}

async function isDone(cluster: Cluster, schema: string): Promise<void> {
  await until(async () => (await cluster.query(`select from ${schema}.jobs`)).length === 0, { what: 'an empty queue' })
}

/** Waits until the worker has looked for jobs: it caches the result of its first query to the server, even a failure. */
async function isReady(cluster: Cluster, pool: pg.Pool, schema: string): Promise<void> {
  await addJob(cluster, schema, `${schema} first`)
  await isEntered(cluster, `${schema} first`)
  await until(() => pool.idleCount === pool.totalCount - 1, { what: 'a worker that only listens' })
}

/** Stops the worker, and waits until the pool has all its connections back: some are reset or pinged by then. */
async function hasStopped(worker: Runner, pool: pg.Pool): Promise<void> {
  await settles(worker.stop(), 'the end of the worker')
  await until(() => pool.idleCount === pool.totalCount, { what: 'the pool to have its connections back' })
}

async function isListening(cluster: Cluster, applicationName: string): Promise<void> {
  await until(async () =>
    (await cluster.sessions({ applicationName, state: 'idle' })).some(({ query }) => query.startsWith('LISTEN')),
  )
}

// It warns of a pool without listeners for errors, and adds them.
beforeEach(() => {
  vi.spyOn(console, 'warn').mockReturnValue()
})

describe.each(LIBRARIES)('graphile-worker on $library', ({ open }) => {
  test('graphile-worker runs the jobs that NOTIFY announces', async ({ cluster, direct, schema }) => {
    await using pool = open({ ...direct, max: SIZE })
    const worker = await startWorker(pool, schema)
    await isListening(cluster, direct.application_name)
    await addJob(cluster, schema, `${schema} from outside`)
    await isEntered(cluster, `${schema} from outside`)
    await worker.addJob('enter', { id: `${schema} from inside` })
    await isEntered(cluster, `${schema} from inside`)
    await isDone(cluster, schema)
    await hasStopped(worker, pool)
  })

  test('graphile-worker listens again after a restart of the server', async ({ cluster, direct, schema }) => {
    await using pool = open({ ...direct, max: SIZE })
    const worker = await startWorker(pool, schema)
    await isListening(cluster, direct.application_name)
    await isReady(cluster, pool, schema)
    await cluster.restart()
    await isListening(cluster, direct.application_name)
    await addJob(cluster, schema, `${schema} afterwards`)
    await isEntered(cluster, `${schema} afterwards`)
    await isDone(cluster, schema)
    await hasStopped(worker, pool)
  })
})

/** Adds a job after a restart of the server that the pool hasn't noticed. */
async function addAfterRestart(
  pool: pg.Pool,
  worker: Runner,
  { cluster, proxy, id }: { readonly cluster: Cluster; readonly proxy: FaultProxy; readonly id: string },
): Promise<unknown> {
  await warmUp(pool, SIZE - 1)
  const letNewsArrive = await unnoticed(proxy, () => cluster.restart())
  const added = worker.addJob('enter', { id })
  letNewsArrive()
  return settles(added, 'the adding of a job')
}

describe('graphile-worker on pg.Pool', () => {
  test("graphile-worker on pg.Pool can't add a job after a restart", async ({ cluster, proxy, proxied, schema }) => {
    await using pool = STOCK.open({ ...proxied, max: SIZE })
    const worker = await startWorker(pool, schema)
    await isListening(cluster, proxied.application_name)
    await isReady(cluster, pool, schema)
    const added = addAfterRestart(pool, worker, { cluster, proxy, id: `${schema} afterwards` })
    await expect(added).rejects.toMatchObject({ code: '57P01' })
    await settles(worker.stop(), 'the end of the worker')
  })
})

describe('graphile-worker on Holdfast', () => {
  test('graphile-worker on Holdfast adds jobs after a restart', async ({ cluster, proxy, proxied, schema }) => {
    await using pool = HOLDFAST.open({ ...proxied, max: SIZE })
    const worker = await startWorker(pool, schema, 100)
    await isListening(cluster, proxied.application_name)
    await isReady(cluster, pool, schema)
    await addAfterRestart(pool, worker, { cluster, proxy, id: `${schema} afterwards` })
    await isEntered(cluster, `${schema} afterwards`)
    await isDone(cluster, schema)
    await isListening(cluster, proxied.application_name)
    await hasStopped(worker, pool)
  })

  // On pg.Pool the dead client is leased at once to the statement that records the failure, so there is no retry.
  test('graphile-worker on Holdfast repeats a killed job', async ({ cluster, direct, applicationName, schema }) => {
    await using pool = HOLDFAST.open({ ...direct, max: SIZE })
    const worker = await startWorker(pool, schema, 100)
    await isListening(cluster, applicationName)
    await isReady(cluster, pool, schema)
    await cluster.withAdmin(async (admin) => {
      await admin.query('begin; lock entry')
      await addJob(cluster, schema, `${schema} killed`)
      const waiting = await until(async () =>
        (await cluster.sessions({ applicationName })).find(({ waitEvent }) => waitEvent === 'relation'),
      )
      await cluster.terminateBackends({ pid: waiting.pid })
      await until(async () => (await cluster.countSessions({ pid: waiting.pid })) === 0)
      await admin.query('commit')
    })
    await isEntered(cluster, `${schema} killed`)
    await isDone(cluster, schema)
    await hasStopped(worker, pool)
  })
})
