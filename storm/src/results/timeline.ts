import type { StackRecord } from '../run/record.ts'
import type { Operation } from '../workload/operation.ts'
import { isError, isSuccess } from './phase-result.ts'

/** What happened in one slice of time. */
export interface Slice {
  /** Seconds since this stack's storm began, at the middle of the slice. */
  readonly at: number
  readonly successesPerSecond: number
  readonly errorsPerSecond: number
  /** The age of the oldest operation that ended in this slice, or was pending through it; null if there was none. */
  readonly maxLatencyMillis: number | null
}

const SLICE_MILLIS = 500

/** What happened to one stack over the whole run. */
export function timeline({ phases, startedAt, endedAt }: StackRecord): readonly Slice[] {
  const count = Math.ceil((endedAt - startedAt) / SLICE_MILLIS)
  const slices = Array.from({ length: count }, () => ({ successes: 0, errors: 0, oldest: null as number | null }))
  const indexOf = (time: number): number =>
    Math.min(count - 1, Math.max(0, Math.floor((time - startedAt) / SLICE_MILLIS)))
  for (const operation of phases.flatMap(({ operations }) => operations)) {
    const last = indexOf(operation.endedAt)
    for (let index = indexOf(operation.startedAt); index <= last; index++) {
      const slice = slices[index]
      if (!slice) continue
      const sliceEnd = startedAt + (index + 1) * SLICE_MILLIS
      slice.oldest = Math.max(slice.oldest ?? 0, ageAt(operation, sliceEnd))
    }
    const slice = slices[last]
    if (slice && isSuccess(operation)) slice.successes++
    if (slice && isError(operation)) slice.errors++
  }
  for (const { at, pending } of phases.flatMap(({ crashes }) => crashes)) {
    const slice = slices[indexOf(at)]
    if (slice) slice.errors += pending.length
  }
  const perSecond = 1000 / SLICE_MILLIS
  return slices.map(({ successes, errors, oldest }, index) => ({
    at: ((index + 0.5) * SLICE_MILLIS) / 1000,
    successesPerSecond: successes * perSecond,
    errorsPerSecond: errors * perSecond,
    maxLatencyMillis: oldest === null ? null : Math.round(oldest * 10) / 10,
  }))
}

function ageAt({ startedAt, endedAt }: Operation, time: number): number {
  return Math.min(endedAt, time) - startedAt
}
