import type { TLSSocket } from 'node:tls'
import type { Client } from 'pg'
import { internalsOf } from './internals.ts'

/** `unverified`: encrypted, for any server that answers, also for one that only pretends to be the right one. */
export type TlsState = 'none' | 'unverified' | 'verified'

/** Whether the connection of a client is encrypted, and whether the server's certificate was verified. */
export function tlsStateOf(client: Client): TlsState {
  const { connection, connectionParameters } = internalsOf(client)
  const { encrypted, authorized } = connection.stream as Partial<TLSSocket>
  if (encrypted !== true) return 'none'
  const { ssl } = connectionParameters
  // Then a certificate is accepted that no authority has signed, whatever this one is.
  const acceptsAny = typeof ssl === 'object' && (ssl as { rejectUnauthorized?: unknown }).rejectUnauthorized === false
  return authorized === true && !acceptsAny ? 'verified' : 'unverified'
}
