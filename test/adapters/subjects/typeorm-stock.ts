import { Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'
import { DataSource, type EntityManager, EntitySchema, type QueryRunner } from 'typeorm'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'
import type { Database, Row, Subject, Tx } from '../subject.ts'

/** A row of the table `entry`. */
export interface Entry {
  id: string
}

/** As an entity, without decorators. */
export const Entry: EntitySchema<Entry> = new EntitySchema<Entry>({
  name: 'entry',
  columns: { id: { type: 'text', primary: true } },
})

/** TypeORM as its documentation sets it up, with any class of pools. */
export async function typeormWith(PoolClass: typeof pg.Pool, options: PoolOptions): Promise<Database> {
  const source = new DataSource({
    type: 'postgres',
    driver: { ...pg, Pool: PoolClass },
    extra: options,
    entities: [Entry],
  })
  await source.initialize()
  return databaseOf(source)
}

/** A data source that is initialised. */
export function databaseOf(source: DataSource): Database {
  return {
    pool: (source.driver as PostgresDriver).master as pg.Pool,
    ...statementsOf(source.manager),
    ids: async () => (await source.getRepository(Entry).find()).map(({ id }) => id),
    transaction: (fn, { isolationLevel } = {}) => {
      const work = async (manager: EntityManager) => fn(txOf(manager), { attempt: 1 })
      if (!isolationLevel) return source.transaction(work)
      return source.transaction(isolationLevel.toUpperCase() as 'SERIALIZABLE', work)
    },
    stream: (sql) => rowsOf(source, sql),
    begin: async () => {
      const runner = source.createQueryRunner()
      await orRelease(runner, () => runner.startTransaction())
      return {
        ...statementsOf(runner.manager),
        commit: () => andRelease(runner, () => runner.commitTransaction()),
        rollback: () => andRelease(runner, () => runner.rollbackTransaction()),
      }
    },
    [Symbol.asyncDispose]: () => source.destroy(),
  }
}

async function andRelease(runner: QueryRunner, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } finally {
    await runner.release()
  }
}

async function orRelease(runner: QueryRunner, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    await runner.release()
    throw error
  }
}

function statementsOf(manager: EntityManager): Pick<Tx, 'run' | 'insert'> {
  return {
    run: async (sql) => ((await manager.query(sql)) ?? []) as Row[],
    insert: async (id) => void (await manager.insert(Entry, { id })),
  }
}

function txOf(manager: EntityManager): Tx {
  return { ...statementsOf(manager), savepoint: (fn) => manager.transaction((inner) => fn(txOf(inner))) }
}

async function* rowsOf(source: DataSource, sql: string): AsyncIterable<Row> {
  const runner = source.createQueryRunner()
  try {
    yield* (await runner.stream(sql)) as unknown as AsyncIterable<Row>
  } finally {
    await runner.release()
  }
}

/** TypeORM as it is, with our Pool for its driver's. */
export const subject: Subject = {
  name: 'stock TypeORM',
  module: import.meta.url,
  can: ['stream', 'begin'],
  retries: false,
  limits: ['hides losses'],
  open: (options) => typeormWith(Pool, options),
}
