import type { StormRecord } from '../run/record.ts'

const PERCENTILE = 0.95

/** The 95th percentile of the duration of operations while nothing was broken, in milliseconds: the speed of the machine. */
export function calmLatencyMillis({ stacks }: StormRecord): number {
  const phases = stacks.flatMap((stack) => stack.phases)
  const calm = phases.flatMap(({ operations, struckFrom }) => operations.filter(({ endedAt }) => endedAt < struckFrom))
  const sorted = calm.map(({ startedAt, endedAt }) => endedAt - startedAt).toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * PERCENTILE)] ?? 0
}
