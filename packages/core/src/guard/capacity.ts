import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'
import { numberIn, type Row, truthIn } from '../commit/server-report.ts'

/** Runs a query that returns rows of texts. */
export type Ask = (sql: string) => Promise<readonly Row[]>

/**
 * How many connections the server, the role that logged in and this database allow; -1 means no limit. Slots that are reserved
 * for superusers count only for superusers.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-connection.html
 */
const LIMITS = `select r.rolsuper as superuser, r.rolconnlimit as role, d.datconnlimit as database,
  current_setting('max_connections')::int as server,
  current_setting('superuser_reserved_connections')::int
    + coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int as reserved
  from pg_catalog.pg_roles r, pg_catalog.pg_database d
  where r.rolname = session_user and d.datname = current_database()`

const LIMITING = ['server', 'reserved', 'role', 'database'] as const

/** How many connections this user may have to this database, in all processes together; undefined if unknown. */
export async function availableConnections(ask: Ask): Promise<number | undefined> {
  const [limits] = await ask(LIMITS)
  const [server, reserved, role, database] = LIMITING.map((column) => numberIn(limits?.[column]))
  const isSuperuser = truthIn(limits?.superuser)
  if (isSuperuser) return server
  if (isSuperuser === undefined || server === undefined || reserved === undefined) return undefined
  if (role === undefined || database === undefined) return undefined
  if (server < 0 || reserved < 0) return undefined // No server says so, and the difference would mean nothing.
  return Math.min(server - reserved, ...[role, database].filter((limit) => limit >= 0))
}

/**
 * How many processes like this one are known. PM2 tells its workers. The id of a `node:cluster` worker shows only that there were
 * so many workers so far, restarts included, so the answer is at most the number of cores.
 */
export function knownWorkers(): number {
  const instances = Number(process.env.instances)
  if (process.env.NODE_APP_INSTANCE !== undefined && Number.isInteger(instances) && instances > 0) return instances
  return cluster.worker ? Math.min(cluster.worker.id, availableParallelism()) : 1
}
