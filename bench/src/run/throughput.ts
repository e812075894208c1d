import type { Entrant, Metric } from '../contest.ts'
import { type Caller, slice } from './turns.ts'

/** The metric of {@link throughputOf}. */
export const THROUGHPUT: Metric = { name: 'throughput', unit: '/s', better: 'more' }

/**
 * Another metric of {@link throughputOf}: it hardly minds that others use the machine, and shows what a throughput hides
 * that a slow network has set the bounds of.
 */
export const CPU_TIME: Metric = { name: 'CPU time each', unit: 'µs', better: 'less' }

/** Another metric of {@link throughputOf}, for callers that record how long their turns took. */
export const LATENCY: Metric = { name: 'median latency', unit: 'ms', better: 'less' }

/** Long enough for every connection to be used some times over a network that takes 1 ms each way. */
const LEAD_IN_MILLIS = 25

/** What is measured, under which load. */
export interface Load {
  readonly caller: Caller
  readonly callers: number
  readonly sliceMillis: number
  /** Closes the pool. */
  readonly close: () => Promise<unknown>
}

/** An entrant whose throughput counts. */
export function throughputOf({ caller, callers, sliceMillis, close }: Load): Entrant {
  return {
    async measure() {
      // A service under load doesn't pause, but a contestant pauses while others are measured. So it warms up again unmeasured.
      await slice(caller, callers, LEAD_IN_MILLIS)
      const { turnsPerSecond, cpuMicrosPerTurn, millisOf } = await slice(caller, callers, sliceMillis)
      return {
        [THROUGHPUT.name]: turnsPerSecond,
        [CPU_TIME.name]: cpuMicrosPerTurn,
        [LATENCY.name]: millisOf(0.5),
      }
    },
    async [Symbol.asyncDispose]() {
      await close()
    },
  }
}
