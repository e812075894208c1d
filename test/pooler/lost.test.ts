import { Pool } from '@holdfast/core'
import { test as base, describe, expect } from 'vitest'
import { rejection } from '../faults/support/settling.ts'
import { AimedProxy, Cluster, type ClusterConfig, type Point, until } from '../support/index.ts'
import { PgBouncer } from './support/pgbouncer.ts'

const COMMIT = /^commit$/i
const MODES = ['transaction', 'session'] as const
const SIDES = ['before', 'behind'] as const

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start()
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.query('create table entry (of text)')
    await cluster.query('grant all on entry to app')
    return cluster
  })

/** The way to the server: a PgBouncer, with a proxy in front of it, or behind it. */
interface Way extends AsyncDisposable {
  readonly aimed: AimedProxy
  readonly config: ClusterConfig
}

async function wayOf(cluster: Cluster, side: (typeof SIDES)[number], mode: (typeof MODES)[number]): Promise<Way> {
  const settings = { pool_mode: mode, reserve_pool_size: 1 }
  if (side === 'behind') {
    const aimed = await AimedProxy.start(cluster)
    const pgbouncer = await PgBouncer.start(cluster, settings, aimed)
    return { aimed, config: pgbouncer.config(), [Symbol.asyncDispose]: () => disposeOf(pgbouncer, aimed) }
  }
  const pgbouncer = await PgBouncer.start(cluster, { ...settings, client_tls_sslmode: 'require' })
  const aimed = await AimedProxy.start(pgbouncer)
  return { aimed, config: aimed.config(pgbouncer.config()), [Symbol.asyncDispose]: () => disposeOf(aimed, pgbouncer) }
}

async function disposeOf(...parts: readonly AsyncDisposable[]): Promise<void> {
  for (const part of parts) await part[Symbol.asyncDispose]()
}

const CASES = MODES.flatMap((mode) =>
  SIDES.flatMap((side) => (['before-forward', 'on-reply'] as const).map((point) => ({ mode, side, point }))),
)

test.for<{ mode: (typeof MODES)[number]; side: (typeof SIDES)[number]; point: Point }>(CASES)(
  'Holdfast: a COMMIT that is lost $side the pooler, $point, in $mode mode, is written once',
  async ({ mode, side, point }, { cluster }) => {
    await using way = await wayOf(cluster, side, mode)
    await using pool = new Pool({ ...way.config, max: 3 })
    const of = `${mode} ${side} ${point}`
    const shot = way.aimed.aim({ statement: COMMIT, point }, 'rst')
    let runs = 0
    await pool.transaction(async (tx) => {
      runs++
      await tx.query('insert into entry values ($1)', [of])
    })
    await shot.fired
    expect(runs).toBe(point === 'on-reply' ? 1 : 2)
    expect(await cluster.query('select count(*)::int from entry where "of" = $1', [of])).toEqual([{ count: 1 }])
  },
)

describe.each(MODES)('in %s mode', (mode) => {
  test('Holdfast: a signal stops a statement at the server, and no other one', async ({ cluster }) => {
    await using pgbouncer = await PgBouncer.start(cluster, { pool_mode: mode })
    await using pool = new Pool({ ...pgbouncer.config(), max: 3 })
    const bystander = pool.query("select pg_sleep(1), 'bystander' as who")
    const controller = new AbortController()
    const stopped = rejection(pool.query({ text: 'select pg_sleep(60)', signal: controller.signal }))
    const sleeping = async (): Promise<number> => {
      const active = await cluster.sessions({ state: 'active' })
      return active.filter(({ query }) => query.includes('pg_sleep(60)')).length
    }
    await until(async () => (await sleeping()) === 1)
    controller.abort()
    expect(await stopped).toBe(controller.signal.reason)
    await until(async () => (await sleeping()) === 0)
    expect((await bystander).rows).toMatchObject([{ who: 'bystander' }])
  })
})
