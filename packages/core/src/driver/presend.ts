import type { Duplex } from 'node:stream'
import type { Client } from 'pg'
import { type DriverQuery, internalsOf } from './internals.ts'

/** Calls `around` when the driver sends a statement that it keeps in line. */
export function whenSent(query: DriverQuery, around: (submit: () => Error | null) => Error | null): void {
  const { submit } = query
  query.submit = (connection) => around(() => submit.call(query, connection))
}

/** Joins what is written meanwhile into one write. */
export function inOneWrite(client: Client, write: () => void): void {
  const { stream } = internalsOf(client).connection as { readonly stream: Partial<Pick<Duplex, 'cork' | 'uncork'>> }
  stream.cork?.()
  try {
    write()
  } finally {
    stream.uncork?.()
  }
}
