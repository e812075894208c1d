import { Pool } from '@holdfast/core' // Instead of pg's.
import type { Service, StackSetup } from '../stack.ts'
import { HoldfastService } from './holdfast.ts'

/** The same, and each single write in a transaction of its own, so that its outcome can be found out. */
export function open({ connection, max, schema }: StackSetup): Service {
  return new HoldfastService(new Pool({ ...connection, max, transactionalWrites: true }), schema)
}
