/**
 * What an error code says about the connection it came from, and about trying again.
 *
 * - `disconnect`: the connection is gone.
 * - `ownFault`: only that session is concerned; says nothing about its neighbours.
 * - `connectAgain`: seen while connecting, it passes by itself.
 * - `retryTransaction`: nothing of the transaction was written, and the same work may succeed.
 */
export interface CodeFacts {
  readonly disconnect?: true
  readonly ownFault?: true
  readonly connectAgain?: true
  readonly retryTransaction?: true
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
  '25P03': { disconnect: true, ownFault: true }, // idle_in_transaction_session_timeout
  '25P04': { disconnect: true, ownFault: true }, // transaction_timeout
  '40001': { retryTransaction: true }, // serialization_failure
  '40P01': { retryTransaction: true }, // deadlock_detected
  '53300': { connectAgain: true, retryTransaction: true }, // too_many_connections
  '57P01': { disconnect: true, connectAgain: true }, // admin_shutdown
  '57P02': { disconnect: true, connectAgain: true }, // crash_shutdown
  '57P03': { connectAgain: true, retryTransaction: true }, // cannot_connect_now
  '57P05': { disconnect: true, ownFault: true }, // idle_session_timeout
}

/**
 * Errors of the operating system and of Node's resolver.
 *
 * @see https://nodejs.org/api/errors.html#common-system-errors
 */
const ERRNOS: Readonly<Record<string, CodeFacts>> = {
  EAI_AGAIN: { connectAgain: true },
  ECONNABORTED: { disconnect: true, connectAgain: true },
  ECONNREFUSED: { connectAgain: true },
  ECONNRESET: { disconnect: true, connectAgain: true },
  EHOSTDOWN: { disconnect: true, connectAgain: true },
  EHOSTUNREACH: { disconnect: true, connectAgain: true },
  ENETDOWN: { disconnect: true, connectAgain: true },
  ENETUNREACH: { disconnect: true, connectAgain: true },
  ENOENT: { connectAgain: true }, // A Unix socket whose server is restarting.
  EPIPE: { disconnect: true, connectAgain: true },
  EPROTO: { disconnect: true, connectAgain: true }, // A TLS handshake cut or garbled on the way.
  ETIMEDOUT: { disconnect: true, connectAgain: true },
}

const TLS_DAMAGE: CodeFacts = { disconnect: true, connectAgain: true }
const NOTHING_KNOWN: CodeFacts = {}

/** What is known of a code: a SQLSTATE, an errno, or an OpenSSL error as Node names it. */
export function factsOf(code: string | undefined): CodeFacts {
  if (code === undefined) return NOTHING_KNOWN
  // ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC and its kin: bytes were damaged. A bad certificate has other codes.
  if (code.startsWith('ERR_SSL_')) return TLS_DAMAGE
  return SQLSTATES[code] ?? ERRNOS[code] ?? NOTHING_KNOWN
}
