import type { DataSourceOptions } from 'typeorm'
import type { StackSetup } from '../stack.ts'
import { account, entry, ledger } from './entities.ts'

/** TypeORM's own options for PostgreSQL. */
export type PostgresOptions = Extract<DataSourceOptions, { readonly type: 'postgres' }>

/** Where to log in, and what is there, in TypeORM's words. */
export function optionsFor({ connection, max, schema }: StackSetup): PostgresOptions {
  const { user, ssl, application_name, ...login } = connection
  return {
    ...login,
    type: 'postgres',
    username: user,
    applicationName: application_name,
    ...(ssl === undefined ? {} : { ssl }),
    poolSize: max,
    schema,
    entities: [account, ledger, entry],
  }
}
