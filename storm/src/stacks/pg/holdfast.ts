import { Pool } from '@holdfast/core' // Instead of pg's.
import type { Trace } from '../../workload/journal.ts'
import type { TransferOrder } from '../../workload/transfer-order.ts'
import type { Service, StackSetup } from '../stack.ts'
import { move } from './move.ts'
import { PlainService } from './plain-service.ts'

/** Holdfast under the code of the bare stack, with its defaults. */
export function open({ connection, max, schema }: StackSetup): Service {
  return new HoldfastService(new Pool({ ...connection, max }), schema)
}

/** The plain service, but `pool.transaction` instead of BEGIN, COMMIT, ROLLBACK and `release`. */
export class HoldfastService extends PlainService<Pool> {
  override async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    trace.step('connect')
    await this.pool.transaction((tx) => {
      trace.attempt()
      return move(tx, this.sql, order, trace)
    })
  }
}
