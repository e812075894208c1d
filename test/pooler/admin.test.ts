import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { settles, unattended } from '../faults/support/settling.ts'
import { Cluster, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'
import { CALLERS, traffic } from './support/traffic.ts'

const SIZE = 10
/** For as long PgBouncer is in a state in which it serves no one. */
const AWHILE_MILLIS = 300

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.query('create table entry (id bigint generated always as identity, of text)')
    await cluster.query('grant all on entry to app')
    return cluster
  })

const DATABASE = 'postgres'

describe.each(['transaction', 'session'] as const)('in %s mode', (mode) => {
  test.for<[first: string, second?: string]>([
    ['RELOAD'],
    ['RECONNECT'],
    ['PAUSE', 'RESUME'],
    ['SUSPEND', 'RESUME'],
    [`DISABLE ${DATABASE}`, `ENABLE ${DATABASE}`],
    [`KILL ${DATABASE}`, `RESUME ${DATABASE}`],
  ])('Holdfast: %s costs no transaction and no read under load', async ([first, second], { cluster }) => {
    const of = `${mode} ${first}`
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode, server_login_retry: 1 })
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, pooler: mode })
    const writes = traffic(() => pool.transaction((tx) => tx.query('insert into entry (of) values ($1)', [of])))
    const reads = traffic(() => pool.query('select count(*) from entry'))
    const all = [writes, reads]
    const served = async (): Promise<void> => {
      const before = all.map(({ outcomes }) => outcomes.succeeded)
      await until(() => all.every(({ outcomes }, index) => outcomes.succeeded > (before[index] ?? 0) + 5 * CALLERS))
    }
    await served()
    await using admin = await pgbouncer.admin()
    await using other = await pgbouncer.admin()
    // In session mode PAUSE waits for clients that don't leave.
    const done = unattended(admin.run(first))
    await pause(AWHILE_MILLIS)
    pool.invalidate() // So that new connections are needed.
    await pause(AWHILE_MILLIS)
    if (second) await (mode === 'session' ? other : admin).run(second)
    if (mode === 'transaction') await done
    await served()
    const [written, read] = [await writes.stop(), await reads.stop()]
    expect([...written.errors, ...read.errors]).toEqual([])
    expect(await cluster.query('select count(*)::int from entry where "of" = $1', [of])).toEqual([
      { count: written.succeeded },
    ])
  })
})

test.for(['transaction', 'session'] as const)(
  'Holdfast: callers that wait for a connection are served although KILL ends those that log in, in %s mode',
  async (mode, { cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode, server_login_retry: 1 })
    await using pool = new Pool({ ...pgbouncer.config(), max: SIZE, pooler: mode })
    await pool.query('select 1')
    await using admin = await pgbouncer.admin()
    await pool.dispose()
    await admin.run(`PAUSE ${DATABASE}`)
    const callers = unattended(Promise.all(Array.from({ length: CALLERS }, () => pool.query('select 1'))))
    await until(() => pool.waitingCount === CALLERS)
    await pause(AWHILE_MILLIS) // The first login is over, and its ping waits.
    await admin.run(`RESUME ${DATABASE}`)
    await admin.run(`KILL ${DATABASE}`)
    await pause(AWHILE_MILLIS)
    await admin.run(`RESUME ${DATABASE}`)
    await settles(callers, 'the callers')
  },
)
