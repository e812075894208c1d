import type { Entrant, Metric } from '../contest.ts'
import { type Caller, turnsPerSecond } from './turns.ts'

/** The metric of {@link throughputOf}. */
export const THROUGHPUT: Metric = { name: 'throughput', unit: '/s', better: 'more' }

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
      return { [THROUGHPUT.name]: await turnsPerSecond(caller, callers, sliceMillis) }
    },
    async [Symbol.asyncDispose]() {
      await close()
    },
  }
}
