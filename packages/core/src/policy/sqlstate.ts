import { propertyOf } from '../thrown.ts'

/** read_only_sql_transaction: a write was refused, by a standby or in a read-only transaction. */
export const READ_ONLY = '25006'

/** The severity that the server gave its message; undefined for an error that isn't the server's. */
export function severityOf(error: unknown): unknown {
  return propertyOf(error, 'severity')
}

/** Why a connect was refused at once. */
export type Refusal = 'no server' | 'full' | 'closed'

/**
 * What an error code says about the connection it came from, and about trying again.
 *
 * - `disconnect`: the connection is gone.
 * - `ownFault`: it concerns only that session, and says nothing about other connections.
 * - `endsAll`: what has ended this session ends all others of the pool.
 * - `connectAgain`: if connecting fails with it, the cause passes by itself.
 * - `refuses`: if connecting fails with it, there is no server, it has no room, or something in between has closed the socket.
 *   That was said at once, at no cost.
 * - `retryTransaction`: nothing of the transaction was written, and the same transaction may succeed.
 * - `stale`: if a statement that was prepared before fails with it at Bind, something has changed since. Prepare again that
 *   statement, those of the session, or those of every session of the pool.
 * - `spoils`: with this routine and message, the session itself is broken until it ends. Its connection is retired when it is
 *   released.
 */
export interface CodeFacts {
  readonly disconnect?: true
  readonly ownFault?: true
  readonly endsAll?: true
  readonly connectAgain?: true
  readonly refuses?: Refusal
  readonly retryTransaction?: true
  readonly stale?: 'statement' | 'session' | 'pool'
  readonly spoils?: RegExp
}

/**
 * SQLSTATEs that the pool acts upon.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const SQLSTATES: Readonly<Record<string, CodeFacts>> = {
  '08000': { disconnect: true, connectAgain: true }, // connection_exception
  '08001': { connectAgain: true }, // sqlclient_unable_to_establish_sqlconnection
  '08003': { disconnect: true, connectAgain: true }, // connection_does_not_exist
  '08006': { disconnect: true, connectAgain: true }, // connection_failure
  '08P01': { disconnect: true, ownFault: true }, // protocol_violation
  '0A000': { stale: 'pool' }, // feature_not_supported: cached plan must not change result type
  '25006': { endsAll: true }, // read_only_sql_transaction: ends a session only if its server is no primary any more
  '25P03': { disconnect: true, ownFault: true }, // idle_in_transaction_session_timeout
  '25P04': { disconnect: true, ownFault: true }, // transaction_timeout
  '26000': { stale: 'session' }, // invalid_sql_statement_name: DISCARD ALL, DEALLOCATE, a pooler
  '40001': { retryTransaction: true }, // serialization_failure
  '40P01': { retryTransaction: true }, // deadlock_detected
  '42501': {}, // insufficient_privilege: checked at Bind, and true of a new statement as well
  '42704': { stale: 'pool', spoils: /^GetUserNameFromId:/ }, // undefined_object: the session's role was dropped
  '42804': { stale: 'pool', spoils: /^plpgsql_param_eval/ }, // datatype_mismatch: a plan in a function is stale
  '53300': { connectAgain: true, refuses: 'full', retryTransaction: true }, // too_many_connections
  '57P01': { disconnect: true, connectAgain: true }, // admin_shutdown
  '57P02': { disconnect: true, endsAll: true, connectAgain: true }, // crash_shutdown
  '57P03': { endsAll: true, connectAgain: true, refuses: 'no server', retryTransaction: true }, // cannot_connect_now
  '57P04': { disconnect: true, endsAll: true }, // database_dropped
  '57P05': { disconnect: true, ownFault: true, connectAgain: true }, // idle_session_timeout
  XX000: { stale: 'pool', spoils: /: (?:cache lookup failed|could not open relation with OID)/ }, // internal_error
}

/**
 * Classes of SQLSTATEs, for codes that aren't named above.
 *
 * - 22, data_exception: a parameter of another type might take that value;
 * - 42, syntax_error_or_access_rule_violation: the statement was valid when it was prepared, and isn't any more.
 */
const CLASSES: Readonly<Record<string, CodeFacts>> = {
  '22': { stale: 'statement' },
  '42': { stale: 'pool' },
}

/**
 * Errors of the operating system and of Node's resolver.
 *
 * @see https://nodejs.org/api/errors.html#common-system-errors
 */
const ERRNOS: Readonly<Record<string, CodeFacts>> = {
  EAI_AGAIN: { connectAgain: true },
  ECONNABORTED: { disconnect: true, connectAgain: true },
  ECONNREFUSED: { connectAgain: true, refuses: 'no server' },
  ECONNRESET: { disconnect: true, connectAgain: true, refuses: 'closed' },
  EHOSTDOWN: { disconnect: true, connectAgain: true },
  EHOSTUNREACH: { disconnect: true, connectAgain: true },
  ENETDOWN: { disconnect: true, connectAgain: true },
  ENETUNREACH: { disconnect: true, connectAgain: true },
  ENOENT: { connectAgain: true, refuses: 'no server' }, // A Unix socket whose server is restarting.
  EPIPE: { disconnect: true, connectAgain: true, refuses: 'closed' },
  EPROTO: { disconnect: true, connectAgain: true }, // A TLS handshake cut or garbled on the way.
  ETIMEDOUT: { disconnect: true, connectAgain: true },
}

const TLS_DAMAGE: CodeFacts = { disconnect: true, connectAgain: true }
const NOTHING_KNOWN: CodeFacts = {}

/** What is known of a code: a SQLSTATE, an errno, or an OpenSSL error in Node's spelling. */
export function factsOf(code: string | undefined): CodeFacts {
  if (code === undefined) return NOTHING_KNOWN
  // ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC and similar: bytes were damaged. A bad certificate has other codes.
  if (code.startsWith('ERR_SSL_')) return TLS_DAMAGE
  return SQLSTATES[code] ?? ERRNOS[code] ?? CLASSES[classOf(code)] ?? NOTHING_KNOWN
}

function classOf(code: string): string {
  return code.length === 5 ? code.slice(0, 2) : ''
}
