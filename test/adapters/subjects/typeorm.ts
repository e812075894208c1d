import type { PoolOptions } from '@holdfast/core'
import { type HoldfastDataSourceOptions, holdfast, transaction } from '@holdfast/typeorm'
import { DataSource, type EntityManager } from 'typeorm'
import type { IsolationLevel } from 'typeorm/driver/types/IsolationLevel.js'
import type { Row, Subject, Tx } from '../subject.ts'
import { databaseOf, Entry } from './typeorm-stock.ts'

/** TypeORM's options from a pool's: the address under TypeORM's names, and the rest under `holdfast`. */
export function optionsFrom(options: PoolOptions): HoldfastDataSourceOptions {
  const { connectionString: url, host, port, user: username, password, database, ssl, ...rest } = options
  const address = { url, host, port, username, password, database, ssl }
  return { type: 'postgres', ...address, holdfast: rest, entities: [Entry] } as HoldfastDataSourceOptions
}

function txOf(manager: EntityManager): Tx {
  return {
    run: async (sql) => ((await manager.query(sql)) ?? []) as Row[],
    insert: async (id) => void (await manager.insert(Entry, { id })),
    savepoint: (fn) => manager.transaction((inner) => fn(txOf(inner))),
  }
}

/** TypeORM with `holdfast()`, and `transaction()` for its transactions. */
export const subject: Subject = {
  name: 'TypeORM',
  module: import.meta.url,
  can: ['stream', 'begin'],
  retries: true,
  open: async (options) => {
    const source = new DataSource(holdfast(optionsFrom(options)))
    await source.initialize()
    return {
      ...databaseOf(source),
      transaction: (fn, { isolationLevel, ...run } = {}) => {
        const level = isolationLevel?.toUpperCase() as IsolationLevel | undefined
        return transaction(source, { ...run, isolationLevel: level }, (manager, info) => fn(txOf(manager), info))
      },
    }
  },
}
