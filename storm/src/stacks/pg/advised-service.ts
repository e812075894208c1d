import type { PoolClient } from 'pg'
import type { Trace } from '../../workload/journal.ts'
import type { TransferOrder } from '../../workload/transfer-order.ts'
import type { Entry } from '../stack.ts'
import { move } from './move.ts'
import { PlainService } from './plain-service.ts'

/**
 * The service as a careful reader of node-postgres' documentation and issues writes it: a leased client has an
 * error listener, a failing ROLLBACK does not hide its cause, and whatever could not be rolled back is released with
 * its error, so that the pool closes it.
 */
export class AdvisedService extends PlainService {
  override async transfer(order: TransferOrder, trace: Trace): Promise<void> {
    trace.step('connect')
    const client = await this.pool.connect()
    client.on('error', logged)
    let broken: Error | undefined
    try {
      trace.step('begin')
      await client.query('BEGIN')
      await move(client, this.sql, order, trace)
      await client.query('COMMIT')
    } catch (error) {
      broken = await rollBack(client)
      throw error
    } finally {
      client.off('error', logged)
      client.release(broken)
    }
  }

  override async leaveDirty({ key, phase }: Entry): Promise<void> {
    const client = await this.pool.connect()
    client.on('error', logged)
    let broken: unknown
    try {
      await client.query('BEGIN')
      await client.query(this.sql.write, [key, phase])
    } catch (error) {
      broken = error
      throw error
    } finally {
      client.off('error', logged)
      client.release(broken !== undefined) // COMMIT was forgotten.
    }
  }
}

/** Says why the client is not fit for anyone any more; undefined if it is. */
async function rollBack(client: PoolClient): Promise<Error | undefined> {
  try {
    await client.query('ROLLBACK')
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** A careful service logs here; its log would only be in the way of ours. The next statement rejects anyway. */
function logged(): void {}
