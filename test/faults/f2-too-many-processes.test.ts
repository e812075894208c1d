import { availableParallelism } from 'node:os'
import { describe, expect } from 'vitest'
import { type Cluster, until } from '../support/index.ts'
import type { Service, Warned } from './programs/warned.ts'
import { test } from './support/fault-test.ts'
import { holdfast, StockPool } from './support/pools.ts'
import { Program } from './support/program.ts'
import { settles } from './support/settling.ts'

const CODE = 'HOLDFAST_CAPACITY_EXCEEDED'

/** A role that may have so many connections, and how it logs in. */
async function roleWithLimit(cluster: Cluster, applicationName: string, limit: number): Promise<{ user: string }> {
  const user = applicationName.replaceAll('-', '_')
  await cluster.query(`create role ${user} login password '${cluster.password}' connection limit ${limit}`)
  return { user }
}

describe('workers times max exceeds what the server grants', () => {
  test('stock pg.Pool: too many workers cause errors under load', async ({ cluster, direct }) => {
    await using pool = new StockPool({
      ...direct,
      ...(await roleWithLimit(cluster, direct.application_name, 3)),
      max: 5,
    })
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => pool.query('select pg_sleep(0.2)')))
    const refused = results.filter((result) => result.status === 'rejected')
    expect(refused.map(({ reason }) => reason.code)).toEqual(['53300', '53300'])
  })

  test('Holdfast: too many workers make callers wait under load, and none is refused', async ({ cluster, direct }) => {
    await using pool = holdfast({
      ...direct,
      ...(await roleWithLimit(cluster, direct.application_name, 3)),
      max: 5,
    })
    const statements = Array.from({ length: 10 }, () => pool.query('select pg_sleep(0.1)'))
    await settles(Promise.all(statements), 'the statements')
    // An attempt to connect takes a slot as well, and may be under way.
    const { size, opening } = pool.status()
    expect(size - opening).toBeLessThanOrEqual(3)
  })

  test('Holdfast: of too many workers one warns, once, with the numbers', async ({ cluster, direct }) => {
    const role = await roleWithLimit(cluster, direct.application_name, 5)
    const options = { ...direct, ...role, max: 10 } as Service['options']
    await using program = Program.start('warned', { options, workers: 0 } satisfies Service)
    expect(await program.tells(1)).toEqual([
      {
        code: CODE,
        message: expect.stringMatching(
          /1 process with max: 10 can want 10 connections, but the server grants 5\. Lower max to 5, or raise /,
        ),
      },
    ])
  })

  test('Holdfast: under node:cluster, a worker warns as soon as they are too many together', async ({
    cluster,
    direct,
  }) => {
    const role = await roleWithLimit(cluster, direct.application_name, 15)
    const options = { ...direct, ...role, max: 10 } as Service['options']
    await using program = Program.start('warned', { options, workers: 2 } satisfies Service)
    // No more workers than cores are believed in.
    if (availableParallelism() === 1) return
    const [warned] = (await program.tells(1)) as Warned[]
    expect(warned).toMatchObject({ worker: 2, code: CODE })
    expect(warned?.message).toContain('2 processes with max: 10 can want 20 connections, but the server grants 15.')
    expect(warned?.message).toContain('Lower max to 7')
  })

  test('Holdfast: a pool knows from PM2 how many processes there are', async ({ cluster, direct }) => {
    const role = await roleWithLimit(cluster, direct.application_name, 30)
    const options = { ...direct, ...role, max: 10 } as Service['options']
    const pm2 = { NODE_APP_INSTANCE: '0', instances: '4' }
    await using program = Program.start('warned', { options, workers: 0 } satisfies Service, pm2)
    const [warned] = (await program.tells(1)) as Warned[]
    expect(warned?.message).toContain('4 processes with max: 10 can want 40 connections, but the server grants 30.')
  })
})

test('Holdfast: the processes of a service share what there is, and all are served', async ({ cluster, direct }) => {
  const role = await roleWithLimit(cluster, direct.application_name, 4)
  const pools = Array.from({ length: 3 }, () => holdfast({ ...direct, ...role, max: 4, idleTimeoutMillis: 50 }))
  try {
    const statements = pools.flatMap((pool) => Array.from({ length: 8 }, () => pool.query('select pg_sleep(0.05)')))
    await settles(Promise.all(statements), 'the statements')
    await until(() => pools.every((pool) => pool.totalCount === 0))
  } finally {
    await Promise.all(pools.map((pool) => pool.end()))
  }
})
