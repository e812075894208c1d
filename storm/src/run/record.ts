import type { Effect, Fault } from '../faults/fault.ts'
import type { ServerSession } from '../ground/ground.ts'
import type { Stack } from '../stacks/stack.ts'
import type { Audit } from '../truth/audit.ts'
import type { Pending } from '../workload/journal.ts'
import type { Operation } from '../workload/operation.ts'
import type { Crash } from './service-process.ts'

/** One act against the service's connections, with its beginning and its end. */
export interface Act {
  readonly effect: Effect
  readonly from: number
  readonly until: number
}

/** Everything observed of one stack in one phase. Nothing in here is computed: that is for `results/`. */
export interface PhaseRecord {
  readonly fault: Fault
  readonly index: number
  startedAt: number
  /** When the fault began and ended. */
  struckFrom: number
  struckUntil: number
  readonly acts: Act[]
  /** When the callers were started again, if the fault had stopped them. */
  resumedAt: number | undefined
  endedAt: number
  readonly operations: Operation[]
  /** Operations that were pending for longer than `hangMillis`, whatever became of them later. */
  readonly overdue: Pending[]
  readonly crashes: Crash[]
  /** How many connections the pool could have in use at the end, out of its `max`. */
  usableSlots: number
  leftoverSessions: readonly ServerSession[]
  /** Whether the process had to be replaced afterwards, since it hung or leaked. */
  wasReplaced: boolean
  audit: Audit
  balancesAreRight: boolean
}

/** Everything observed of one stack. */
export interface StackRecord {
  readonly stack: Stack
  /** When its first fault was due, and when its last was over. */
  startedAt: number
  endedAt: number
  readonly phases: readonly PhaseRecord[]
  /** How long the process took to end after its pool was closed; undefined if it had to be killed. */
  endedWithinMillis: number | undefined
}

/** Everything observed in one run of the storm. */
export interface StormRecord {
  readonly seed: number
  readonly startedAt: number
  endedAt: number
  readonly server: string
  readonly stacks: readonly StackRecord[]
}

/** An empty phase. */
export function emptyPhase(fault: Fault, index: number): PhaseRecord {
  return {
    fault,
    index,
    startedAt: 0,
    struckFrom: 0,
    struckUntil: 0,
    acts: [],
    resumedAt: undefined,
    endedAt: 0,
    operations: [],
    overdue: [],
    crashes: [],
    usableSlots: 0,
    leftoverSessions: [],
    wasReplaced: false,
    audit: { lost: [], doubled: [], uncommitted: [], denied: [], misreported: [], writtenInSpiteOfError: 0 },
    balancesAreRight: false,
  }
}
