import type { Connection } from '../connection/connection.ts'
import type { LeaseTerms } from '../connection/lease.ts'

/** Who wants a connection. Exactly one of the two is called, once; `leased` possibly before `acquire` returns. */
export interface Caller extends LeaseTerms {
  leased(connection: Connection): void
  failed(error: Error): void
}
