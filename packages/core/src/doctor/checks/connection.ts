import { codeOf, messageOf, nameOf, propertyOf } from '../../thrown.ts'
import { duration } from '../duration.ts'
import type { Facts } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** What to do about a code: of the server, of the socket, of TLS. */
const ADVICE: Readonly<Record<string, string>> = {
  '28P01': 'Check user and password; in a URL, special characters of the password must be percent-encoded.',
  '28000': 'Check the user, and whether `pg_hba.conf` lets it in from here, with or without TLS.',
  '3D000': 'Check the name of the database.',
  '53300': 'The server, the database or the role has no connection left: see who has them in `pg_stat_activity`.',
  '57P03': 'The server is starting, stopping or recovering: try again soon. The pool would go on trying.',
  ECONNREFUSED:
    'No server listens there: check host and port, and whether the server runs and listens on that address.',
  ENOTFOUND: 'The name of the host is unknown here: check it. In Docker Compose, it is the name of the service.',
  EAI_AGAIN: 'The name server did not answer: check the name of the host, and the network.',
  EHOSTUNREACH: 'No way leads there: check the network, the firewall and the address.',
  ENETUNREACH: 'No way leads there: check the network, the firewall and the address.',
  ETIMEDOUT: 'Nothing answers there: check host, port and firewall, or raise `--timeout`.',
  ENOENT: 'There is no such socket: check the directory, or whether the server runs.',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'The certificate is signed by no authority: name it in `sslrootcert=…` or `ssl: { ca }`.',
  SELF_SIGNED_CERT_IN_CHAIN: 'Its authority is not known here: name it in `sslrootcert=…` or `ssl: { ca }`.',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'Its authority is not known here: name it in `sslrootcert=…` or `ssl: { ca }`.',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'Its authority is not known here: name it in `sslrootcert=…` or `ssl: { ca }`.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The certificate is for another name: use a host that stands in it.',
  CERT_HAS_EXPIRED: 'Renew the certificate of the server, or set the clock of this machine.',
}

/** How deep errors inside of errors are read. */
const DEEPEST = 4
/** The driver has words for this, and no code. */
const NO_TLS = /does not support SSL/i

/** The connection was opened. */
export function checkConnection({ loginMillis, user }: Facts): Finding {
  return { check: 'connection', status: 'ok', found: `opened in ${duration(loginMillis)}, as ${user}` }
}

/** No connection could be opened, or it was lost while the server was asked. */
export function failedConnection(error: unknown): Finding {
  const cause = causeOf(error)
  const advice = NO_TLS.test(messageOf(cause))
    ? 'The server has no TLS: turn that on there, or say `sslmode=disable` if the network is your own.'
    : ADVICE[codeOf(cause) ?? '']
  return { check: 'connection', status: 'fail', found: messageOf(error), ...(advice !== undefined && { advice }) }
}

/** What the error of the pool wraps. The bundle of this command doesn't know the classes of these errors. */
function causeOf(error: unknown): unknown {
  for (let inner = error, depth = 0; depth < DEEPEST; depth++) {
    const cause = propertyOf(inner, 'cause')
    if (!isOfPool(inner) || cause === undefined) return inner
    inner = cause
  }
  return error
}

function isOfPool(error: unknown): boolean {
  return nameOf(error) === 'ConnectError' || codeOf(error)?.startsWith('HOLDFAST_') === true
}
