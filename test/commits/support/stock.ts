import type { PoolOptions } from '@holdfast/core'
import type pg from 'pg'
import { drizzleOn } from '../../adapters/subjects/drizzle-stock.ts'
import { kyselyOn } from '../../adapters/subjects/kysely-stock.ts'
import { typeormWith } from '../../adapters/subjects/typeorm-stock.ts'
import { StockPool } from '../../faults/support/pools.ts'

/** An ORM on the pool of pg: no more of it than these tests need. */
export interface StockSubject {
  readonly name: string
  open(options: PoolOptions): Promise<StockDatabase>
}

/** {@link StockSubject}, set up. */
export interface StockDatabase {
  /** Inserts an entry in a transaction, in the ORM's own idiom. */
  insert(id: string): Promise<void>
  close(): Promise<void>
}

/** What programs write by hand around a transaction whose connection fails. */
export async function retried(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++)
    try {
      return await work()
    } catch (error) {
      if (attempt === 4) throw error
    }
}

/** pg as its documentation has it. */
async function insertByHand(pool: pg.Pool, id: string): Promise<void> {
  const client = await pool.connect()
  let failure: unknown
  try {
    await client.query('begin')
    await client.query('insert into entry values ($1)', [id])
    await client.query('commit')
  } catch (error) {
    failure = error
    await client.query('rollback').catch(() => {})
    throw error
  } finally {
    client.release(failure !== undefined)
  }
}

/** All of them. */
export const STOCK_SUBJECTS: readonly StockSubject[] = [
  {
    name: 'pg',
    open: async (options) => {
      const pool = new StockPool(options as pg.PoolConfig)
      return { insert: (id) => insertByHand(pool, id), close: () => pool[Symbol.asyncDispose]() }
    },
  },
  {
    name: 'Drizzle',
    open: async (options) => {
      const pool = new StockPool(options as pg.PoolConfig)
      const close = (): Promise<void> => pool[Symbol.asyncDispose]()
      const database = drizzleOn(pool, close)
      return { insert: (id) => database.transaction((tx) => tx.insert(id)), close }
    },
  },
  {
    name: 'Kysely',
    open: async (options) => {
      const pool = new StockPool(options as pg.PoolConfig)
      const database = kyselyOn(pool)
      return { insert: (id) => database.transaction((tx) => tx.insert(id)), close: () => pool[Symbol.asyncDispose]() }
    },
  },
  {
    name: 'TypeORM',
    open: async (options) => {
      const database = await typeormWith(StockPool, options)
      const close = (): Promise<void> => (database.pool as StockPool)[Symbol.asyncDispose]()
      return { insert: (id) => database.transaction((tx) => tx.insert(id)), close }
    },
  },
]
