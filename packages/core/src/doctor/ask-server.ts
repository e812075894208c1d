import type { Pool } from '@holdfast/core'
import { physicalClient } from '@holdfast/core'
import type { PoolClient } from 'pg'
import { numberIn, type Row, readPrimary, rowsIn, truthIn, xidStatusQuery } from '../commit/server-report.ts'
import { ROLE_QUESTION, unwritableBy } from '../connection/server-role.ts'
import { tlsStateOf } from '../driver/tls-state.ts'
import { readCapacity } from '../guard/capacity.ts'
import { severityOf } from '../policy/classify-error.ts'
import type { HostRole } from '../policy/host-suitability.ts'
import type { PoolerKind } from '../policy/pooler.ts'
import type { Clock } from '../runtime/clock.ts'
import { codeOf, messageOf, propertyOf } from '../thrown.ts'
import { identityQuery, lookQuery, readIdentity, readLook } from '../watch/look.ts'
import type { Answer, ClockDifference, Facts, Settings, Wanted } from './facts.ts'

type Ask = (sql: string) => Promise<readonly Row[]>

const SETTINGS = `select name, setting from pg_catalog.pg_settings where name in ('idle_session_timeout',
  'idle_in_transaction_session_timeout', 'statement_timeout', 'client_connection_check_interval', 'tcp_keepalives_idle',
  'tcp_keepalives_interval', 'tcp_keepalives_count')`
const VERSION = `select pg_catalog.version() as version,
  pg_catalog.current_setting('server_version_num', true) as number, session_user::text as role, current_database()::text as database`
const MAY_TERMINATE = `select pg_catalog.has_function_privilege(p.oid, 'execute')::text as may
  from pg_catalog.pg_proc p where p.proname = 'pg_terminate_backend'`
/** The first id of a transaction that a server assigns: any id will do to see whether the question is answered. */
const ANY_TRANSACTION = '3'
/** How long a pooler may take to give a second session, in milliseconds. */
const SECOND_SESSION_MILLIS = 1000
const NO_SENSE = 'the answer makes no sense'

/** What asking takes. */
export interface AskParts {
  readonly clock: Clock
  readonly wanted: Wanted
}

/**
 * Opens a connection of the pool, and asks the server everything that the checks need. What one question is refused doesn't keep
 * the others from being asked.
 *
 * @throws whatever `pool.connect()` rejects with.
 */
export async function askServer(pool: Pool, { clock, wanted }: AskParts): Promise<Facts> {
  const startedAt = clock.now()
  const client = await pool.connect()
  const loginMillis = clock.now() - startedAt
  try {
    const ask: Ask = async (sql) => rowsIn(await client.query(sql)) ?? []
    const [about] = await ask(VERSION)
    const { host = '', port = 0 } = pool.inspect()[0] ?? {}
    return {
      wanted,
      loginMillis,
      place: { host, port, database: String(about?.database) },
      user: String(about?.role),
      version: String(about?.version),
      versionNumber: numberIn(about?.number),
      tls: tlsStateOf(physicalClient(client)),
      pooler: await poolerOf(pool, ask),
      role: await answerTo(() => askRole(ask)),
      settings: await answerTo(() => askSettings(ask)),
      capacity: await answerTo(() => readCapacity(ask)),
      watch: await answerTo(() => tryWatch(ask)),
      commits: await answerTo(() => tryCommits(ask)),
      clock: await answerTo(() => askClock(ask, clock)),
    }
  } finally {
    client.release()
  }
}

/** What stands in the way though the server has refused nothing. */
class Refusal extends Error {}

/** Undefined means that the answer makes no sense. */
async function answerTo<Value>(question: () => Promise<Value | undefined>): Promise<Answer<Value>> {
  try {
    const value = await question()
    return value === undefined ? { refused: NO_SENSE } : { value }
  } catch (error) {
    // What the server hasn't said ends the conversation: the connection is gone, or the time is up.
    if (severityOf(error) === undefined && !(error instanceof Refusal)) throw error
    return { refused: messageOf(error) }
  }
}

/** If two sessions have the same process within one transaction of the first, each transaction gets a session of the server. */
async function poolerOf(pool: Pool, ask: Ask): Promise<PoolerKind> {
  const { pooler } = pool.status()
  if (pooler !== 'some') return pooler
  const pidOf = async (askThere: Ask): Promise<unknown> =>
    (await askThere('select pg_catalog.pg_backend_pid()::text as pid'))[0]?.pid
  const before = await pidOf(ask)
  const other = await secondOf(pool)
  if (!other) return pooler
  try {
    await other.query('begin')
    const pid = await pidOf(async (sql) => rowsIn(await other.query(sql)) ?? [])
    return pid === before ? 'transaction' : pool.status().pooler
  } finally {
    await other.query('rollback')
    other.release()
  }
}

/** Another session; undefined if the pooler has none to give, as one that gives sessions may. */
async function secondOf(pool: Pool): Promise<PoolClient | undefined> {
  try {
    return await pool.connect({ connectionTimeoutMillis: SECOND_SESSION_MILLIS })
  } catch (error) {
    // Refused by the pooler, or late. The bundle of this command doesn't know the class of the error.
    const cause = propertyOf(error, 'cause') ?? error
    if (codeOf(error) === 'HOLDFAST_POOL_TIMEOUT' || severityOf(cause) !== undefined) return undefined
    throw error
  }
}

async function askRole(ask: Ask): Promise<HostRole | undefined> {
  const [row] = await ask(ROLE_QUESTION)
  if (truthIn(row?.in_recovery) === undefined) return undefined
  const unwritable = unwritableBy(row)
  if (unwritable === 'in hot standby') return 'standby'
  return row?.read_only === 'on' ? 'read-only' : 'primary'
}

async function askSettings(ask: Ask): Promise<Settings> {
  const rows = await ask(SETTINGS)
  return new Map(rows.map(({ name, setting }) => [String(name), String(setting)]))
}

/** Asks what the watch asks, about this session, and whether it might end one. */
async function tryWatch(ask: Ask): Promise<true | undefined> {
  const identity = readIdentity(await ask(identityQuery()))
  if (!identity) return undefined
  const { backendPid } = identity
  const sight = readLook(await ask(lookQuery([backendPid])))?.sessions.get(backendPid)
  if (!sight || sight === 'gone') return undefined
  if (sight === 'hidden') throw new Refusal('the role does not see its own sessions (`track_activities` is off)')
  const rights = await ask(MAY_TERMINATE)
  if (rights.some(({ may }) => truthIn(may) === false)) throw new Refusal('the role may not call pg_terminate_backend')
  return true
}

/** Asks what is asked after a lost COMMIT. */
async function tryCommits(ask: Ask): Promise<true | undefined> {
  if (!(await readPrimary(ask))) throw new Refusal('a standby commits nothing')
  const [row] = await ask(xidStatusQuery({ transactionId: ANY_TRANSACTION }))
  return row ? true : undefined
}

async function askClock(ask: Ask, clock: Clock): Promise<ClockDifference | undefined> {
  const before = clock.wall()
  const identity = readIdentity(await ask(identityQuery()))
  const after = clock.wall()
  if (!identity) return undefined
  return { aheadMillis: identity.now / 1000 - (before + after) / 2, uncertaintyMillis: (after - before) / 2 }
}
