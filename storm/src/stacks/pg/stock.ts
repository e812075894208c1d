import { Pool } from 'pg'
import type { Service, StackSetup } from '../stack.ts'
import { PlainService } from './plain-service.ts'

/** Stock pg.Pool, bare: connection settings and `max`, as in most services. */
export function open({ connection, max, schema }: StackSetup): Service {
  return new PlainService(new Pool({ ...connection, max }), schema)
}
