import type { Benchmark } from '../contest.ts'
import { acquire } from './acquire.ts'
import { ddl } from './ddl.ts'
import { memory } from './memory.ts'
import { mixed } from './mixed.ts'
import { query } from './query.ts'
import { queryTls } from './query-tls.ts'
import { read, smallPool } from './read.ts'
import { spike } from './spike.ts'
import { transactional } from './transactional.ts'
import { transactions } from './transactions.ts'
import { waiters } from './waiters.ts'

/** All benchmarks, in the order in which they run. */
export const BENCHMARKS: readonly Benchmark[] = [
  acquire,
  query,
  queryTls,
  read,
  smallPool,
  mixed,
  ddl,
  transactions,
  transactional,
  waiters,
  spike,
  memory,
]
