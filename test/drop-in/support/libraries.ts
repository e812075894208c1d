import { Pool } from '@holdfast/core'
import type pg from 'pg'
import { StockPool } from '../../faults/support/pools.ts'

/** One of the two pools that must look the same. */
export interface Library {
  readonly library: 'pg.Pool' | 'Holdfast'
  open(config: pg.PoolConfig): pg.Pool & AsyncDisposable
}

/** Both, made of the same options: what a program looks like before and after the one line that changes. */
export const LIBRARIES: readonly Library[] = [
  { library: 'pg.Pool', open: (config) => new StockPool(config) },
  { library: 'Holdfast', open: (config) => new Pool(config as object) },
]
