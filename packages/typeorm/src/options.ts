import { OptionsError, Pool, type PoolOptions } from '@holdfast/core'
import { driverFor, type PostgresOptions } from './driver.ts'

const ADDRESS = ['connectionString', 'host', 'port', 'user', 'password', 'database', 'ssl'] as const

/** TypeORM's options for PostgreSQL, and the pool's. */
export interface HoldfastDataSourceOptions extends Omit<PostgresOptions, 'driver' | 'nativeDriver'> {
  /** For each pool of the data source. What TypeORM's own options or `extra` say isn't said here as well. */
  readonly holdfast?: Omit<PoolOptions, (typeof ADDRESS)[number]> | undefined
}

/**
 * Has TypeORM use Holdfast's pools: TypeORM's options in, the same out, for `new DataSource()`, `setOptions()`, NestJS
 * and the command line; for one data source, if it has replicas: reads of one that is away are served by another node.
 *
 * @throws {OptionsError} that names what can't work, is said twice, or would bring another pool.
 */
export function holdfast({ holdfast: given = {}, ...rest }: HoldfastDataSourceOptions): PostgresOptions {
  const theirs: PostgresOptions = rest
  const { poolSize: max, connectTimeoutMS: connectionTimeoutMillis, applicationName: application_name, extra } = theirs
  const said: Record<string, unknown> = { max, connectionTimeoutMillis, application_name, ...extra }
  const ours = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const problems = Object.keys(ours)
    .filter((key) => said[key] !== undefined || ADDRESS.includes(key as 'host'))
    .map((key) => `\`holdfast.${key}\` must be absent: TypeORM's own options, or \`extra\`, say it.`)
  if (theirs.type !== 'postgres') problems.push(`\`type\` must be 'postgres', got '${theirs.type}'.`)
  if (theirs.driver) problems.push('`driver` must be absent: holdfast() brings it, and borrow(pool) goes without.')
  if (theirs.nativeDriver) problems.push("`nativeDriver` must be absent: pg-native's socket can't be watched.")
  if (problems.length > 0) throw new OptionsError(problems)
  new Pool({ ...said, ...ours }) // Checks them, and opens nothing.
  return { ...theirs, driver: driverFor(theirs.replication), extra: { ...extra, ...ours } }
}
