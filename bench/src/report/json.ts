import { availableParallelism } from 'node:os'
import type { MetricResult } from '../results/contest-result.ts'
import type { Pace } from '../run/pace.ts'

/** Everything that the table says, and every measurement, for a program to read. */
export function renderJson(results: readonly MetricResult[], pace: Pace): string {
  const machine = {
    node: process.version,
    platform: process.platform,
    arch: process.arch,
    cpus: availableParallelism(),
  }
  return `${JSON.stringify({ ...machine, pace, results }, null, 2)}\n`
}
