import { OptionsError, Pool, type PoolOptions } from '@holdfast/core'
import { holdfastDriver, type PostgresOptions } from './driver.ts'

const ADDRESS = ['connectionString', 'host', 'port', 'user', 'password', 'database', 'ssl'] as const

/** TypeORM's options for PostgreSQL, and the pool's. */
export interface HoldfastDataSourceOptions extends Omit<PostgresOptions, 'driver' | 'nativeDriver'> {
  /** For each pool of the data source. An option that TypeORM has under a name of its own, or in `extra`, is given there only. */
  readonly holdfast?: Omit<PoolOptions, (typeof ADDRESS)[number]> | undefined
}

/**
 * Makes TypeORM use Holdfast's pools. Takes TypeORM's options and returns TypeORM's options, for `new DataSource()`,
 * `setOptions()`, NestJS and the command line. With replicas, call it once for each data source: another server answers the
 * reads of a replica that is down.
 *
 * @throws {OptionsError} that names every option that can't work, is given twice, or would bring another pool.
 */
export function holdfast({ holdfast: given = {}, ...rest }: HoldfastDataSourceOptions): PostgresOptions {
  const options: PostgresOptions = rest
  const { extra } = options
  // As TypeORM passes its own options to the pool.
  const fromTypeorm: Record<string, unknown> = {
    max: options.poolSize,
    connectionTimeoutMillis: options.connectTimeoutMS,
    application_name: options.applicationName,
    ...extra,
  }
  const poolOptions = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const problems = Object.keys(poolOptions)
    .filter((key) => fromTypeorm[key] !== undefined || ADDRESS.includes(key as 'host'))
    .map((key) => `\`holdfast.${key}\` must be absent: TypeORM's own options, or \`extra\`, say it.`)
  if (options.type !== 'postgres') problems.push(`\`type\` must be 'postgres', got '${options.type}'.`)
  if (options.driver) problems.push('`driver` must be absent: holdfast() brings it, and driverFor(pool) goes without.')
  if (options.nativeDriver) problems.push("`nativeDriver` must be absent: pg-native's socket can't be watched.")
  for (const key of ['hosts', 'replicas'])
    if (options.replication && (fromTypeorm[key] ?? poolOptions[key]))
      problems.push(`\`${key}\` must be absent beside \`replication\`, which says where each server is.`)
  if (problems.length > 0) throw new OptionsError(problems)
  new Pool({ ...fromTypeorm, ...poolOptions }) // Checks them, and opens nothing.
  return { ...options, driver: holdfastDriver(options.replication), extra: { ...extra, ...poolOptions } }
}
