import { codeOf, messageOf, propertyOf } from '../thrown.ts'
import { severityOf } from './sqlstate.ts'

/**
 * What it means that a pooler ends a session:
 *
 * - `refused`: it passed nothing on, since its server is away or it is full. This passes by itself.
 * - `final`: it passed nothing on, and never will.
 * - `lost`: a server was working, and the outcome is unknown.
 * - `too slow`: as `lost`, and the reason is how long it took.
 */
export type PoolerMeaning = 'refused' | 'final' | 'lost' | 'too slow'

/** A message of a pooler, and the source that shows it. */
export interface PoolerWords {
  readonly pooler: 'PgBouncer' | 'Supavisor' | 'RDS Proxy' | 'pgcat'
  readonly code: string
  /** Matches the beginning of the message. */
  readonly words: RegExp
  readonly meaning: PoolerMeaning
  readonly source: string
}

const PGBOUNCER = 'github.com/pgbouncer/pgbouncer, 1.18 to 1.25, src/'
const SUPAVISOR = 'github.com/supabase/supavisor 03e5cc5, lib/supavisor/'
const PGCAT = 'github.com/postgresml/pgcat 5b03881, src/client.rs, '
const RDS = 'docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html'

/**
 * What the known poolers say in place of a server. PgBouncer refuses a client that waits for a server only while the client has
 * none, so nothing of that client was passed on: in `check_fast_fail`, `pause_client`, `kill_pool_logins` and the timeouts for
 * waiting clients. Once a server is linked to the client, the session ends with other messages.
 */
export const POOLER_WORDS: readonly PoolerWords[] = [
  pgBouncer(/server login has been failing/, 'refused', 'objects.c check_fast_fail; since 1.24 with "cached error: …"'),
  pgBouncer(/pgbouncer cannot connect to server/, 'refused', 'objects.c check_fast_fail, before 1.17'),
  pgBouncer(/server shutting down$/, 'refused', 'objects.c pause_client, janitor.c pool_client_maint, since 1.23'),
  pgBouncer(/query_wait_timeout$/, 'refused', 'janitor.c pool_client_maint: a client that waits'),
  pgBouncer(/query_timeout$/, 'refused', 'janitor.c pool_client_maint: a client that waits'),
  pgBouncer(/client_login_timeout/, 'refused', 'janitor.c pool_client_maint, cleanup_client_logins'),
  pgBouncer(/no more connections allowed/, 'refused', 'client.c: max_client_conn'),
  pgBouncer(/client connections exceeded/, 'refused', 'client.c, since 1.24: max_db_client_connections and its kin'),
  pgBouncer(/database ".*" is disabled$/, 'refused', 'objects.c finish_client_login: DISABLE, until ENABLE'),
  pgBouncer(/pooler is shutting down$/, 'refused', 'objects.c finish_client_login'),
  pgBouncer(/suspend_timeout$/, 'refused', 'janitor.c: SUSPEND ends the logins that take long'),
  pgBouncer(
    /client_idle_timeout$/,
    'refused',
    'janitor.c pool_client_maint: a client without a server, whose next message crosses it',
  ),
  pgBouncer(
    /server login failed/,
    'final',
    'proto.c: the password that it has for the server, and how it is asked for',
  ),
  pgBouncer(/no such (?:database|user)/, 'final', 'objects.c finish_client_login, client.c'),
  pgBouncer(/(?:unsupported|invalid) startup p/, 'final', 'client.c decide_startup_pool'),
  pgBouncer(/unsupported options startup parameter/, 'final', 'client.c set_startup_options'),
  pgBouncer(/(?:SASL|password|PAM|LDAP|certificate|"trust") authentication failed/, 'final', 'client.c'),
  // Before 1.20 the server's own words came without its code.
  pgBouncer(/the database system is /, 'refused', 'server.c kill_pool_logins_server_error, in 1.18 and 1.19'),
  pgBouncer(/sorry, too many clients already/, 'refused', 'server.c kill_pool_logins_server_error'),
  pgBouncer(/remaining connection slots are reserved/, 'refused', 'server.c kill_pool_logins_server_error'),
  pgBouncer(/too many connections for /, 'refused', 'server.c kill_pool_logins_server_error'),
  pgBouncer(/(?:database|role) ".*" does not exist$/, 'final', 'server.c kill_pool_logins_server_error'),
  pgBouncer(/no pg_hba\.conf entry/, 'final', 'server.c kill_pool_logins_server_error'),
  pgBouncer(/server conn crashed\?/, 'lost', 'server.c server_proto: a server that is linked to the client'),
  pgBouncer(/query timeout$/, 'too slow', 'janitor.c pool_server_maint'),
  pgBouncer(/idle transaction timeout$/, 'too slow', 'janitor.c pool_server_maint'),
  pgBouncer(/transaction timeout$/, 'too slow', 'janitor.c pool_server_maint, since 1.25'),
  pgBouncer(/admin forced disconnect$/, 'lost', 'admin.c: KILL_CLIENT'),
  pgBouncer(/database removed$/, 'lost', 'janitor.c kill_pool: KILL, with or without a server; in a login, too'),
  supavisor('(EMAXCONNSESSION)', 'refused', 'errors/max_connections_error.ex'),
  supavisor('(EMAXCONN)', 'refused', 'errors/max_connections_error.ex'),
  supavisor('MaxClientsInSessionMode', 'refused', 'client_handler.ex, from a79f2eb to 71eb86b'),
  supavisor('Max client connections reached', 'refused', 'client_handler.ex, before 71eb86b'),
  supavisor('(EMAXPOOLSREACHED)', 'refused', 'errors/max_pools_reached_error.ex'),
  supavisor('(ECHECKOUTTIMEOUT)', 'refused', 'client_handler.ex pool_checkout: before anything is passed on'),
  supavisor('(ECHECKOUTRETRIES)', 'refused', 'client_handler.ex maybe_checkout'),
  supavisor('(ECHECKOUTFAILED)', 'refused', 'db_handler.ex checkout'),
  supavisor('(EPOOLCHECKOUT)', 'refused', 'client_handler.ex pool_checkout'),
  supavisor('(EPOOLTERMINATING)', 'refused', 'errors/pool_terminating_error.ex'),
  supavisor('(EWORKERNOTFOUND)', 'refused', 'errors/worker_not_found_error.ex'),
  supavisor('(ESUBSCRIBERETRIES)', 'refused', 'errors/subscribe_retries_exhausted_error.ex'),
  supavisor('(EPROXYSTARTFAILED)', 'refused', 'errors/failed_to_start_proxy_connection_error.ex'),
  supavisor('(EPROXYSUPERVISORUNAVAILABLE)', 'refused', 'errors/proxy_supervisor_unavailable_error.ex'),
  supavisor('(ECIRCUITBREAKER)', 'refused', 'errors/circuit_breaker_error.ex: "blocked until"'),
  supavisor('(EBANNED)', 'final', 'errors/tenant_banned_error.ex'),
  supavisor('(EDBHANDLEREXITED)', 'lost', 'client_handler.ex: the process of a server has ended'),
  {
    pooler: 'Supavisor',
    code: '08006',
    words: /^Failed to connect to database: /,
    meaning: 'refused',
    source: `${SUPAVISOR}db_handler.ex handle_connection_failure`,
  },
  pgcat('could not get connection from the pool', 'refused', 'handle: before a server is taken'),
  pgcat('checkout failure limit reached', 'refused', 'handle: before a server is taken'),
  pgcat('Pool down for database', 'refused', 'startup: no server could be validated'),
  pgcat('terminating connection due to administrator command', 'refused', 'handle: read instead of a message'),
  pgcat('No pool configured for database', 'final', 'startup'),
  pgcat('error receiving data from server', 'lost', 'receive_server_message'),
  pgcat('pool statement timeout', 'too slow', 'receive_server_message'),
  pgcat('idle transaction timeout', 'too slow', 'handle'),
  rds('08000', /Timed-out waiting to acquire database connection/, 'refused'),
  rds('08000', /The maximum number of client connections to the proxy exceeded/, 'refused'),
  rds('08000', /Rate of connection to proxy exceeded/, 'refused'),
  rds('08000', /The IAM authentication failed because of too many competing requests/, 'refused'),
]

/**
 * What a server says when it refuses a pooler's login, and newer PgBouncers pass on to the waiting clients (server.c
 * kill_pool_logins_server_error). In the middle of a session no server says so itself.
 */
const REFUSED_LOGINS: Readonly<Record<string, PoolerMeaning>> = {
  '53300': 'refused', // too_many_connections
  '57P03': 'refused', // cannot_connect_now
  '28000': 'final', // invalid_authorization_specification
  '28P01': 'final', // invalid_password
  '3D000': 'final', // invalid_catalog_name
}

/** What it means that a session ended with this error; undefined if the error isn't a pooler's. */
export function poolerMeaning(error: unknown): PoolerMeaning | undefined {
  if (!mayBeOfPooler(error)) return undefined
  return knownWords(error)?.meaning ?? REFUSED_LOGINS[codeOf(error) ?? '']
}

/** Whether these are the words of a pooler, which no server uses. */
export function isOfPooler(error: unknown): boolean {
  return mayBeOfPooler(error) && knownWords(error) !== undefined
}

function mayBeOfPooler(error: unknown): boolean {
  return severityOf(error) === 'FATAL' && !isOfServer(error)
}

function knownWords(error: unknown): PoolerWords | undefined {
  const code = codeOf(error)
  const message = messageOf(error)
  return POOLER_WORDS.find((each) => each.code === code && each.words.test(message))
}

/** PostgreSQL names the routine in which an error arose. */
function isOfServer(error: unknown): boolean {
  return propertyOf(error, 'routine') !== undefined
}

function pgBouncer(words: RegExp, meaning: PoolerMeaning, source: string): PoolerWords {
  const beginning = new RegExp(`^(?:${words.source})`)
  return { pooler: 'PgBouncer', code: '08P01', words: beginning, meaning, source: PGBOUNCER + source }
}

function supavisor(beginning: string, meaning: PoolerMeaning, source: string): PoolerWords {
  return { pooler: 'Supavisor', code: 'XX000', words: literally(beginning), meaning, source: SUPAVISOR + source }
}

function pgcat(beginning: string, meaning: PoolerMeaning, source: string): PoolerWords {
  return { pooler: 'pgcat', code: '58000', words: literally(beginning), meaning, source: PGCAT + source }
}

function rds(code: string, words: RegExp, meaning: PoolerMeaning): PoolerWords {
  return { pooler: 'RDS Proxy', code, words, meaning, source: RDS }
}

function literally(beginning: string): RegExp {
  return new RegExp(`^${beginning.replaceAll(/[().]/g, '\\$&')}`)
}
