import type { Pool } from '@holdfast/core'
import { type HoldfastDataSourceOptions, holdfast } from '@holdfast/typeorm'
import { DataSource, type DataSourceOptions } from 'typeorm'
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js'
import { settles } from '../../../faults/support/settling.ts'
import type { ClusterConfig } from '../../../support/index.ts'
import { Entry } from '../../subjects/typeorm-stock.ts'

/** Where a node is, in TypeORM's words. */
export function addressOf({ host, port, user: username, password, database, ssl }: ClusterConfig): object {
  return { host, port, username, password, database, ssl }
}

type Given = Omit<HoldfastDataSourceOptions, 'type'>

/** A data source with `holdfast()`, and timeouts as short as tests want them. Not connected yet. */
export function withHoldfast({ holdfast: options, ...rest }: Given): DataSource {
  const short = { idleTimeoutMillis: 0, closeTimeoutMillis: 500, prePing: { idleMillis: 0, timeoutMillis: 300 } }
  return new DataSource(holdfast({ type: 'postgres', entities: [Entry], ...rest, holdfast: { ...short, ...options } }))
}

/** The same, connected. */
export function connected(options: Given): Promise<DataSource> {
  return settles(withHoldfast(options).initialize(), 'initialize()')
}

/** A data source as TypeORM itself makes it, with pg's own pool. Not connected yet. */
export function stock(options: Omit<Extract<DataSourceOptions, { type: 'postgres' }>, 'type'>): DataSource {
  return new DataSource({ type: 'postgres', entities: [Entry], poolErrorHandler: () => {}, ...options })
}

/** What TypeORM has of the primary. */
export function poolOf(source: DataSource): Pool {
  return (source.driver as PostgresDriver).master as Pool
}

/** What TypeORM has of the replicas. */
export function replicasOf(source: DataSource): Pool[] {
  return (source.driver as PostgresDriver).slaves as Pool[]
}
