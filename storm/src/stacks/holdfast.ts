import { Pool } from '@holdfast/core' // The one line that differs from a service on stock pg.Pool.
import { PlainService } from './plain-service.ts'
import type { Service, StackSetup } from './stack.ts'

/** Holdfast under the very code of the bare stack; `query_timeout` is the only thing said against failures. */
export function open({ connection, max, schema, queryTimeoutMillis }: StackSetup): Service {
  return new PlainService(new Pool({ ...connection, max, query_timeout: queryTimeoutMillis }), schema)
}
