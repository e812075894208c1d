import type { Connection } from '../connection/connection.ts'
import type { AcquireOptions } from '../options/acquire-options.ts'

/** Who wants a connection. Exactly one of the two is called, once; `leased` possibly before `acquire` returns. */
export interface Caller {
  /** Where its wishes differ from the pool's options. */
  readonly options?: AcquireOptions | undefined
  /** Where it asked, if leaks are looked for. */
  readonly stack?: string | undefined
  leased(connection: Connection): void
  failed(error: Error): void
}
