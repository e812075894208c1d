import type { Benchmark } from '../contest.ts'
import { acquire } from './acquire.ts'
import { memory } from './memory.ts'
import { query } from './query.ts'
import { queryTls } from './query-tls.ts'
import { spike } from './spike.ts'
import { transactional } from './transactional.ts'
import { transactions } from './transactions.ts'
import { waiters } from './waiters.ts'

/** All benchmarks, in the order in which they run. */
export const BENCHMARKS: readonly Benchmark[] = [
  acquire,
  query,
  queryTls,
  transactions,
  transactional,
  waiters,
  spike,
  memory,
]
