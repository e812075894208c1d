import { Pool } from 'pg'
import { PlainService } from './plain-service.ts'
import type { Service, StackSetup } from './stack.ts'

/** Stock pg.Pool, bare: connection settings and `max`, as in most services. */
export function open({ connection, max, schema }: StackSetup): Service {
  return new PlainService(new Pool({ ...connection, max }), schema)
}
