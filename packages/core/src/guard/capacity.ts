import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'

/** Asks a server for rows of texts. */
export type Ask = (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>

/**
 * How many connections the server, the role that logged in and this database grant; -1 stands for no limit of their own. Slots that
 * are reserved for superusers count only for them.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-connection.html
 */
const LIMITS = `select r.rolsuper as superuser, r.rolconnlimit as role, d.datconnlimit as database,
  current_setting('max_connections')::int as server,
  current_setting('superuser_reserved_connections')::int
    + coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int as reserved
  from pg_catalog.pg_roles r, pg_catalog.pg_database d
  where r.rolname = session_user and d.datname = current_database()`

/** How many connections this user may have to this database, all processes together; undefined if nobody can tell. */
export async function availableConnections(ask: Ask): Promise<number | undefined> {
  const [limits] = await ask(LIMITS)
  if (!limits) return undefined
  const [server, reserved, role, database] = [limits.server, limits.reserved, limits.role, limits.database].map(Number)
  if (limits.superuser === true || limits.superuser === 't') return server
  const granted = [role, database].filter((limit) => limit !== undefined && limit >= 0) as number[]
  return Math.min((server ?? 0) - (reserved ?? 0), ...granted)
}

/**
 * How many processes like this one are known of. PM2 tells its workers; a worker of `node:cluster` knows only that it
 * isn't the first, and restarts count on, so no more than there are cores are believed in.
 */
export function knownWorkers(): number {
  const instances = Number(process.env.instances)
  if (process.env.NODE_APP_INSTANCE !== undefined && Number.isInteger(instances) && instances > 0) return instances
  return cluster.worker ? Math.min(cluster.worker.id, availableParallelism()) : 1
}
