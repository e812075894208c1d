import type { Facts } from '../facts.ts'
import { isLocal } from '../facts.ts'
import type { Finding } from '../finding.ts'

/** Is the connection encrypted, and is the server the one that it pretends to be? */
export function checkTls({ tls, place }: Facts): Finding {
  if (tls === 'verified') return { check: 'tls', status: 'ok', found: 'encrypted, certificate verified' }
  if (tls === 'unverified')
    return {
      check: 'tls',
      status: 'warn',
      found: 'encrypted, certificate not verified: any server would be believed',
      advice: 'Give the authority that signed it: `sslmode=verify-full&sslrootcert=…` in the URL, or `ssl: { ca }`.',
    }
  if (isLocal(place)) return { check: 'tls', status: 'ok', found: "not encrypted, and doesn't leave this machine" }
  return {
    check: 'tls',
    status: 'warn',
    found: 'not encrypted: the network can read and change everything',
    advice: 'Use TLS: `sslmode=verify-full` in the URL, or `ssl: true`.',
  }
}
