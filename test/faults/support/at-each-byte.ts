import { randomUUID } from 'node:crypto'
import type { Pool, PoolOptions } from '@holdfast/core'
import { expect } from 'vitest'
import { Cluster } from '../../support/index.ts'
import { ByteProxy, type Way } from './byte-proxy.ts'
import { test as base } from './fault-test.ts'
import { holdfast } from './pools.ts'
import { settles } from './settling.ts'

/** A {@link base} test whose server takes connections without TLS, so that each byte can be aimed at, and a proxy for that. */
export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs.
  .extend('cluster', { scope: 'file' }, async ({}, { onCleanup }) => {
    const cluster = await Cluster.start({ tls: false })
    onCleanup(() => cluster[Symbol.asyncDispose]())
    await cluster.withAdmin(async (admin) => {
      await admin.query('create table entry (id text primary key)')
      await admin.query('grant all on entry to app')
    })
    return cluster
  })
  .extend('bytes', async ({ cluster }, { onCleanup }) => {
    const proxy = await ByteProxy.start(cluster)
    onCleanup(() => proxy[Symbol.asyncDispose]())
    return proxy
  })

/** With these each exchange has as many bytes as the one that was counted: a statement that has a name needs fewer. */
const ONE_LENGTH: PoolOptions = { max: 1, prePing: false, prepare: false }

/** Runs one statement, which is to be recognized by this id. */
export type Run = (pool: Pool, id: string) => Promise<unknown>

/** Which connection is cut, and where. */
interface Cut {
  readonly way: Way
  readonly bytes: number
  readonly id: string
}

/**
 * Runs a statement again and again, with a cut at each byte of the exchange, in each direction. `step` bytes lie between two
 * cuts; with HOLDFAST_RUNS each byte has its turn. Eight pools work at a time, each through a proxy of its own. Returns the
 * ids, and rejects as soon as one statement does.
 */
export async function atEachByte(cluster: Cluster, options: PoolOptions, run: Run, step: number): Promise<string[]> {
  const cuts = await cutsOf(cluster, options, run, process.env.HOLDFAST_RUNS ? 1 : step)
  const ids = cuts.map(({ id }) => id)
  const cutInTurn = async (): Promise<void> => {
    await using proxy = await ByteProxy.start(cluster)
    await using pool = holdfast({ ...proxy.config(options), ...ONE_LENGTH })
    await run(pool, randomUUID())
    for (let cut = cuts.pop(); cut; cut = cuts.pop()) {
      // A COMMIT that was lost, and found out, leaves no connection.
      if (pool.totalCount === 0) await run(pool, randomUUID())
      proxy.cutAfter(cut.way, cut.bytes)
      await settles(run(pool, cut.id), cut.id)
      expect(proxy.hasCut, cut.id).toBe(true)
    }
  }
  await Promise.all(Array.from({ length: 8 }, cutInTurn))
  return ids
}

/** Counts the bytes of the exchange on a connection that has done it before. */
async function cutsOf(cluster: Cluster, options: PoolOptions, run: Run, step: number): Promise<Cut[]> {
  await using proxy = await ByteProxy.start(cluster)
  await using pool = holdfast({ ...proxy.config(options), ...ONE_LENGTH })
  await run(pool, randomUUID())
  proxy.reset()
  await run(pool, `to-server-10-${randomUUID()}`)
  const { passed } = proxy
  return (['to-server', 'to-client'] as const).flatMap((way) =>
    Array.from({ length: Math.ceil(passed[way] / step) }, (_, index) => {
      const bytes = index * step
      return { way, bytes, id: `${way}-${bytes}-${randomUUID()}` }
    }),
  )
}
