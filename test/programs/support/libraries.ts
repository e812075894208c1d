import type pg from 'pg'
import { holdfast, StockPool } from '../../faults/support/pools.ts'

/** A pool to put under a program. */
export interface Library {
  readonly library: string
  open(config: pg.PoolConfig): pg.Pool & AsyncDisposable
}

/** What the program was written for. */
export const STOCK: Library = { library: 'pg.Pool', open: (config) => new StockPool(config) }

export const HOLDFAST: Library = { library: 'Holdfast', open: (config) => holdfast(config) }

/** Both of them. */
export const LIBRARIES: readonly Library[] = [STOCK, HOLDFAST]
