import 'reflect-metadata'
import { Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'
import { DataSource, type DataSourceOptions, Entity, PrimaryColumn } from 'typeorm'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'
import { describe, expect } from 'vitest'
import { test as base } from '../faults/support/fault-test.ts'
import { rejection, settles } from '../faults/support/settling.ts'
import { until } from '../support/index.ts'
import { databaseOf, Entry } from './subjects/typeorm-stock.ts'
import { expectLoss } from './support/causes.ts'
import { busyBackend, expectHealthy, kill, type Place, written } from './support/health.ts'
import { PID } from './support/open.ts'

const ENDLESS = "select pg_sleep('infinity')"
const POOL: PoolOptions = { closeTimeoutMillis: 500, prePing: { idleMillis: 0, timeoutMillis: 300 } }

class DecoratedEntry {
  declare id: string
}
// What `@Entity('entry')` and `@PrimaryColumn('text')` compile to: TypeScript checks them here as decorators of the new kind.
PrimaryColumn('text')(DecoratedEntry.prototype, 'id')
Entity('entry')(DecoratedEntry)

async function dataSource(options: Partial<DataSourceOptions> & { readonly extra?: object }): Promise<DataSource> {
  const source = new DataSource({
    type: 'postgres',
    driver: { ...pg, Pool },
    entities: [Entry],
    ...options,
  } as DataSourceOptions)
  return settles(source.initialize(), 'initialize()')
}

const test = base
  .extend('place', ({ cluster, applicationName }): Place => ({ cluster, applicationName }))
  /** On a pool of one connection. */
  .extend('source', async ({ direct }, { onCleanup }) => {
    const source = await dataSource({ extra: { ...direct, ...POOL, max: 1 } })
    onCleanup(() => source.destroy())
    return source
  })

describe('stock TypeORM', () => {
  test.for([
    { entities: 'an EntitySchema', entity: Entry },
    { entities: 'a class with decorators', entity: DecoratedEntry },
  ])(
    'stock TypeORM: save() of $entities survives a restart, and rejects with the first cause when its session is killed',
    async ({ entities, entity }, { cluster, direct, applicationName }) => {
      const source = await dataSource({ entities: [entity], extra: { ...direct, ...POOL, max: 1 } })
      const repository = source.getRepository<{ id: string }>(entity)
      const [before, after, never] = ['before', 'after', 'never'].map((each) => `save ${each}, ${entities}`) as [
        string,
        string,
        string,
      ]
      await repository.save({ id: before })
      await cluster.restart('fast')
      await repository.save({ id: after })
      expect(await written(cluster, before, after)).toEqual([after, before])
      await cluster.withAdmin(async (admin) => {
        await admin.query('begin; lock table entry in exclusive mode')
        const saving = rejection(repository.save({ id: never }))
        await cluster.terminateBackends({ pid: await busyBackend({ cluster, applicationName }, 'INSERT') })
        expectLoss(await saving, { code: '57P01', commitOutcome: 'aborted' })
      })
      expect(await written(cluster, never)).toEqual([])
      expect((await repository.find()).map(({ id }) => id)).toContain(after)
      await source.destroy()
    },
  )

  test('stock TypeORM: a runner released in a transaction has it rolled back', async ({ source, cluster, place }) => {
    const runner = source.createQueryRunner()
    await runner.startTransaction()
    await runner.manager.insert(Entry, { id: 'left by a runner' })
    await runner.release()
    await source.manager.insert(Entry, { id: 'the next one’s own' })
    expect(await written(cluster, 'left by a runner', 'the next one’s own')).toEqual(['the next one’s own'])
    await expectHealthy(databaseOf(source), place)
  })

  test('stock TypeORM: a runner killed in a statement rejects with the cause', async ({ source, cluster, place }) => {
    const runner = source.createQueryRunner()
    await runner.startTransaction()
    await runner.manager.insert(Entry, { id: 'killed runner' })
    const failed = rejection(runner.query(ENDLESS))
    await cluster.terminateBackends({ pid: await busyBackend(place, ENDLESS) })
    expectLoss(await failed, { code: '57P01', commitOutcome: 'aborted' })
    await runner.rollbackTransaction().catch(() => {}) // TypeORM may have released the runner.
    await runner.release()
    expect(await written(cluster, 'killed runner')).toEqual([])
    await expectHealthy(databaseOf(source), place)
  })

  test('stock TypeORM: a stream calls its error callback when it is lost', async ({ source, cluster, place }) => {
    const runner = source.createQueryRunner()
    const told = new Promise<unknown>((resolve, reject) => {
      void runner
        .stream(ENDLESS, [], () => reject(new Error('It ended as if all had been read')), resolve)
        .then((stream) => stream.resume())
    })
    await cluster.terminateBackends({ pid: await busyBackend(place, ENDLESS) })
    expectLoss(await settles(told, 'the callback'), { code: '57P01', sent: true })
    await runner.release()
    await expectHealthy(databaseOf(source), place)
  })

  test('stock TypeORM: replication goes on when the connections to the primary and to the replica are lost', async ({
    cluster,
    direct,
    applicationName,
  }) => {
    const { host, port, database, ssl, user: username, password } = direct
    const node = { host, port, database, ssl, username, password }
    const replication = { master: node, slaves: [node] }
    const source = await dataSource({ replication, applicationName, extra: POOL } as never)
    const { master, slaves } = source.driver as PostgresDriver & { readonly slaves: Pool[] }
    expect([master, ...slaves].map((pool) => pool instanceof Pool)).toEqual([true, true])
    await source.manager.insert(Entry, { id: 'replicated' })
    const findOne = (): Promise<unknown> => source.getRepository(Entry).findOneBy({ id: 'replicated' })
    expect(await findOne()).toEqual({ id: 'replicated' })
    await cluster.terminateBackends({ applicationName })
    await until(async () => (await cluster.countSessions({ applicationName })) === 0)
    expect(await settles(findOne(), 'a read')).toEqual({ id: 'replicated' })
    await settles(source.manager.insert(Entry, { id: 'replicated, too' }), 'a write')
    const reader = source.createQueryRunner('slave')
    const [{ pid }] = await reader.query(PID)
    await kill(cluster, pid)
    await reader.release()
    expect(await settles(findOne(), 'a read')).toEqual({ id: 'replicated' })
    for (const pool of [master, ...slaves]) await until(() => pool.idleCount === pool.totalCount)
    await source.destroy()
    await until(async () => (await cluster.countSessions({ applicationName })) === 0)
  })

  test('stock TypeORM: a data source initialises again after a failure or destroy()', async ({ proxy, proxied }) => {
    const source = new DataSource({
      type: 'postgres',
      driver: { ...pg, Pool },
      extra: { ...proxied, ...POOL, connectionTimeoutMillis: 600 },
      entities: [Entry],
    })
    proxy.refuse()
    await rejection(source.initialize())
    await proxy.heal()
    await source.initialize()
    await source.destroy()
    await source.initialize()
    expect(await source.query('select 1 as one')).toEqual([{ one: 1 }])
    await source.destroy()
  })
})
