import { type ConnectionLostError, isRetryable } from '@holdfast/core'
import { expect } from 'vitest'
import { holdfast } from '../faults/support/pools.ts'
import { rejection, unattended } from '../faults/support/settling.ts'
import { AimedProxy, Cluster, type ClusterOptions, freePort, until } from '../support/index.ts'
import { answerOf, timesWritten } from './support/answer.ts'
import { test as base } from './support/commit-test.ts'

/** Nobody writes out the WAL of a transaction that hasn't come to its COMMIT, so a crash undoes even its id. */
const LAZY: ClusterOptions = { settings: { wal_writer_delay: '10s', autovacuum: 'off', bgwriter_delay: '10s' } }

// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
const test = base.override('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
  const cluster = await Cluster.start(LAZY)
  onCleanup(() => cluster[Symbol.asyncDispose]())
  await cluster.query('create table entry (id text)')
  await cluster.query('grant all on entry to app')
  return cluster
})

type End = (cluster: Cluster) => Promise<unknown>

const crash: End = (cluster) => cluster.restart('immediate')
/** The postmaster survives, and every session ends. */
const crashOfASession: End = async (cluster) => {
  const postmaster = cluster.pid
  const startedAt = (): Promise<unknown[]> => cluster.query('select pg_stat_get_bgwriter_stat_reset_time() as at')
  const before = JSON.stringify(await startedAt())
  await cluster.withAdmin(async (admin) => {
    const { rows } = await admin.query<{ pid: number }>('select pg_backend_pid() as pid')
    process.kill(rows[0]?.pid as number, 'SIGKILL')
    await rejection(admin.query('select'))
  })
  await until(async () => JSON.stringify(await startedAt()) !== before, { what: 'the server to recover' })
  expect(cluster.pid).toBe(postmaster)
}

/** Has another transaction commit under this id, which must be free again. */
async function useAgain(cluster: Cluster, id: string): Promise<void> {
  await cluster.withAdmin(async (admin) => {
    for (;;) {
      await admin.query('begin')
      const { rows } = await admin.query<{ id: string }>('select pg_current_xact_id()::text as id')
      await admin.query("insert into entry values ('of somebody else')")
      await admin.query('commit')
      if (rows[0]?.id === id) return
      expect(BigInt(rows[0]?.id as string)).toBeLessThan(BigInt(id))
    }
  })
}

test.for<[string, End, End | undefined]>([
  ['a crash', crash, undefined],
  ['a crash of one session', crashOfASession, undefined],
  ['a crash, and a clean restart', crash, (cluster) => cluster.restart('fast')],
  ['two crashes', crash, crash],
  ['a crash of one session, and a crash', crashOfASession, crash],
])(
  'after %s, another transaction that committed under the same id is not taken for ours',
  async ([name, first, second], { cluster }) => {
    await using proxy = await AimedProxy.start(cluster)
    await using pool = holdfast({ ...proxy.config(cluster.config()), commitTimeoutMillis: 200 })
    const client = await pool.connect()
    const shot = proxy.aim({ statement: /^commit$/i, point: 'before-forward' }, 'swallow')
    await client.query('begin')
    await client.query('insert into entry values ($1)', [name])
    const { rows } = await client.query<{ id: string }>('select pg_current_xact_id()::text as id')
    // Whoever asks must not come in before the id is used again.
    const nobody = { host: proxy.host, port: await freePort() }
    const commit = unattended(client.query('commit'))
    proxy.retarget(nobody)
    await shot.fired
    await first(cluster)
    await useAgain(cluster, rows[0]?.id as string)
    await second?.(cluster)
    proxy.retarget(cluster)
    const error = (await rejection(commit)) as unknown as ConnectionLostError
    client.release()
    expect(await timesWritten(cluster, name)).toBe(0)
    // What the server began with after its one crash shows that the id was free.
    if (first === crash && !second) expect(isRetryable(error)).toBe(true)
    else expect(error).toMatchObject({ commitOutcome: 'unknown', reason: expect.stringContaining('crashed') })
  },
)

test('a COMMIT that was executed before a clean restart is known, since no id is used again', async ({ cluster }) => {
  await using proxy = await AimedProxy.start(cluster)
  await using pool = holdfast({ ...proxy.config(cluster.config()), commitTimeoutMillis: 200 })
  const shot = proxy.aim({ statement: /^commit$/i, point: 'on-reply' }, async () => {
    await cluster.restart('fast')
    await cluster.restart('fast')
    await cluster.query('checkpoint')
    return 'rst'
  })
  await pool.transaction((tx) => tx.query("insert into entry values ('clean')"))
  await shot.fired
  expect(await timesWritten(cluster, 'clean')).toBe(1)
})

test('a COMMIT is never reported as aborted when the statistics are reset without a crash', async ({ cluster }) => {
  await cluster.restart('fast') // Its first checkpoint doesn't know the id that comes.
  await using proxy = await AimedProxy.start(cluster)
  await using pool = holdfast({ ...proxy.config(cluster.config()), commitTimeoutMillis: 200 })
  const shot = proxy.aim({ statement: /^commit$/i, point: 'on-reply' }, async () => {
    await cluster.query('select pg_stat_reset_shared()')
    return 'rst'
  })
  let attempts = 0
  const { told } = await answerOf(
    pool.transaction((tx) => {
      attempts++
      return tx.query("insert into entry values ('reset')")
    }),
  )
  await shot.fired
  expect([told, attempts, await timesWritten(cluster, 'reset')]).toEqual(['unknown', 1, 1])
})
