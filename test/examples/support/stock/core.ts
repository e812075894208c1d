import type { PoolStatus, TransactionOptions } from '@holdfast/core'
import pg from 'pg'

export { isDisconnect } from '@holdfast/core'

/** `pg.Pool` with a transaction as applications write it by hand. */
export class Pool extends pg.Pool {
  async transaction<Result>(
    fn: (tx: pg.ClientBase) => Promise<Result>,
    { isolationLevel, accessMode }: TransactionOptions = {},
  ): Promise<Result> {
    const client = await this.connect()
    try {
      await client.query(`begin ${isolationLevel ? `isolation level ${isolationLevel}` : ''} ${accessMode ?? ''}`)
      const result = await fn(client)
      await client.query('commit')
      return result
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }

  status(): Pick<PoolStatus, 'size' | 'idle'> {
    return { size: this.totalCount, idle: this.idleCount }
  }
}
