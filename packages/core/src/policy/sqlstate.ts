/**
 * What an error code says about the connection it came from, and about trying again.
 *
 * - `endsSession`: the server closes the session after this error, whatever the language of its severity word.
 * - `ownFault`: only that session is concerned; says nothing about its neighbours.
 * - `connectAgain`: seen while connecting, it passes by itself.
 * - `retryTransaction`: the server rolled the transaction back, and the same work may succeed.
 */
export interface CodeFacts {
  readonly endsSession?: true
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
  '08000': { endsSession: true, connectAgain: true }, // connection_exception
  '08001': { endsSession: true, connectAgain: true }, // sqlclient_unable_to_establish_sqlconnection
  '08003': { endsSession: true, connectAgain: true }, // connection_does_not_exist
  '08004': { endsSession: true }, // sqlserver_rejected_establishment_of_sqlconnection
  '08006': { endsSession: true, connectAgain: true }, // connection_failure
  '08P01': { endsSession: true, ownFault: true }, // protocol_violation
  '25P03': { endsSession: true, ownFault: true }, // idle_in_transaction_session_timeout
  '25P04': { endsSession: true, ownFault: true }, // transaction_timeout
  '40001': { retryTransaction: true }, // serialization_failure
  '40P01': { retryTransaction: true }, // deadlock_detected
  '53300': { connectAgain: true, retryTransaction: true }, // too_many_connections
  '57P01': { endsSession: true, connectAgain: true }, // admin_shutdown
  '57P02': { endsSession: true, connectAgain: true }, // crash_shutdown
  '57P03': { connectAgain: true, retryTransaction: true }, // cannot_connect_now
  '57P05': { endsSession: true, ownFault: true }, // idle_session_timeout
}

/**
 * Errors of the operating system and of Node's resolver that pass by themselves.
 *
 * @see https://nodejs.org/api/errors.html#common-system-errors
 */
const ERRNOS: Readonly<Record<string, CodeFacts>> = {
  EAI_AGAIN: { connectAgain: true },
  ECONNABORTED: { connectAgain: true },
  ECONNREFUSED: { connectAgain: true },
  ECONNRESET: { connectAgain: true },
  EHOSTDOWN: { connectAgain: true },
  EHOSTUNREACH: { connectAgain: true },
  ENETDOWN: { connectAgain: true },
  ENETUNREACH: { connectAgain: true },
  ENOENT: { connectAgain: true }, // A Unix socket whose server is restarting.
  EPIPE: { connectAgain: true },
  EPROTO: { connectAgain: true }, // A TLS handshake cut or garbled on the way.
  ETIMEDOUT: { connectAgain: true },
}

const NOTHING_KNOWN: CodeFacts = {}

/** What is known of a code: a SQLSTATE, an errno, or an OpenSSL error as Node names it. */
export function factsOf(code: string | undefined): CodeFacts {
  if (code === undefined) return NOTHING_KNOWN
  // ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC and its kin: bytes were damaged. A bad certificate has other codes.
  if (code.startsWith('ERR_SSL_')) return { connectAgain: true }
  return SQLSTATES[code] ?? ERRNOS[code] ?? NOTHING_KNOWN
}
