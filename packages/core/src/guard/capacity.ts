import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'
import { numberIn, type Row, truthIn } from '../commit/server-report.ts'

/** Runs a query that returns rows of texts. */
export type Ask = (sql: string) => Promise<readonly Row[]>

/** -1 means no limit. Slots that are reserved for superusers count only for superusers. */
const LIMITS = `r.rolsuper as superuser, r.rolconnlimit as role, d.datconnlimit as database,
  current_setting('max_connections')::int as server,
  current_setting('superuser_reserved_connections')::int
    + coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int as reserved`
const OF_THIS_SESSION = `from pg_catalog.pg_roles r, pg_catalog.pg_database d
  where r.rolname = session_user and d.datname = current_database()`

/** Counts the sessions of clients, those that also meet this. Every role may see how many there are, and whose. */
function inUse(condition = 'true'): string {
  return `(select pg_catalog.count(*)::int from pg_catalog.pg_stat_activity a
    where a.backend_type = 'client backend' and ${condition})`
}

/** What limits the number of connections. */
export const LIMITED = ['server', 'role', 'database'] as const

/** One of the {@link LIMITED}. */
export type Limited = (typeof LIMITED)[number]

/** What each allows to this user (Infinity where there is no limit), and how many are in use (undefined if unknown). */
export interface Capacity {
  readonly limits: Readonly<Record<Limited, number>>
  readonly used: Readonly<Record<Limited, number | undefined>>
}

/**
 * How many connections this user may have to this database, in all processes together; undefined if unknown.
 *
 * @see https://www.postgresql.org/docs/current/runtime-config-connection.html
 */
export async function availableConnections(ask: Ask): Promise<number | undefined> {
  const [row] = await ask(`select ${LIMITS} ${OF_THIS_SESSION}`)
  const limits = limitsOf(row)
  return limits && Math.min(...LIMITED.map((limited) => limits[limited]))
}

/** The last tenth of the connections, and at least so many, are for processes that have none so far. */
const LEAST_FREE = 2
const FREE_SHARE = 0.1

/** Whether so many connections are in use that others will soon be refused. False if that is unknown. */
export async function isNearlyFull(ask: Ask): Promise<boolean> {
  const capacity = await readCapacity(ask)
  if (!capacity) return false
  return LIMITED.some((limited) => {
    const used = capacity.used[limited]
    const limit = capacity.limits[limited]
    return used !== undefined && limit - used < Math.max(LEAST_FREE, limit * FREE_SHARE)
  })
}

/** What limits the connections of this user, and how many there are. Undefined if the answer makes no sense. */
export async function readCapacity(ask: Ask): Promise<Capacity | undefined> {
  const [row] = await ask(`select ${LIMITS}, ${inUse()} as used_server, ${inUse('a.usesysid = r.oid')} as used_role,
  ${inUse('a.datid = d.oid')} as used_database ${OF_THIS_SESSION}`)
  const limits = limitsOf(row)
  const usedOf = (limited: Limited): number | undefined => numberIn(row?.[`used_${limited}`])
  return limits && { limits, used: { server: usedOf('server'), role: usedOf('role'), database: usedOf('database') } }
}

/** How many each allows: Infinity where there is no limit. Undefined if the answer makes no sense. */
function limitsOf(row: Row | undefined): Capacity['limits'] | undefined {
  const [server, role, database] = LIMITED.map((limited) => numberIn(row?.[limited]))
  const reserved = numberIn(row?.reserved)
  const isSuperuser = truthIn(row?.superuser)
  if (server === undefined || isSuperuser === undefined) return undefined
  const none = Number.POSITIVE_INFINITY
  if (isSuperuser) return { server, role: none, database: none }
  if (reserved === undefined || role === undefined || database === undefined) return undefined
  if (server < 0 || reserved < 0) return undefined // No server says so, and the difference would mean nothing.
  return { server: server - reserved, role: role < 0 ? none : role, database: database < 0 ? none : database }
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
