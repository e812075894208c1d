import type { Benchmark } from '../contest.ts'
import { acquire } from './acquire.ts'
import { query } from './query.ts'
import { waiters } from './waiters.ts'

/** All benchmarks, in the order in which they run. */
export const BENCHMARKS: readonly Benchmark[] = [acquire, query, waiters]
