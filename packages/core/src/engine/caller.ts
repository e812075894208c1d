import type { Connection } from '../connection/connection.ts'
import type { AcquireOptions } from '../options/acquire-options.ts'

/** What a caller wants of his connection. */
export interface Wishes {
  /** Where it differs from the pool's options. */
  readonly options?: AcquireOptions | undefined
  /** Where he asked, if leaks are looked for. */
  readonly stack?: string | undefined
}

/** Who wants a connection. Exactly one of the two is called, once; `leased` possibly before `acquire` returns. */
export interface Caller extends Wishes {
  leased(connection: Connection): void
  failed(error: Error): void
}
