import type { StackSetup } from '../stacks/stack.ts'
import type { Pending } from '../workload/journal.ts'
import type { Operation } from '../workload/operation.ts'

/** A command of the storm to a service. Commands are executed in order, and answered if an answer is named. */
export type Command =
  /** Answered by `opened`. */
  | {
      readonly type: 'open'
      readonly stack: string
      readonly setup: StackSetup
      readonly seed: number
      readonly incarnation: number
    }
  /** Starts the callers. Answered by `started`. */
  | { readonly type: 'start'; readonly phase: number }
  /** Stops the callers. Answered by `paused`, when no operation is running or the time is up. */
  | { readonly type: 'pause'; readonly withinMillis: number }
  /** Answered by `probed`. */
  | { readonly type: 'probe'; readonly count: number; readonly withinMillis: number }
  /** Blocks the event loop for so long, with unread replies in the sockets. Answered by `blocked`. */
  | { readonly type: 'block'; readonly millis: number }
  /** Starts or stops to release connections with an open transaction. Answered by `dirtied`. */
  | { readonly type: 'dirty'; readonly on: boolean }
  /** Closes the pool, so that the process ends by itself. Answered by `closed`. */
  | { readonly type: 'close' }

/** A message of a service to the storm. */
export type Message =
  | { readonly type: 'opened' }
  | { readonly type: 'started' }
  | { readonly type: 'paused'; readonly pending: readonly Pending[] }
  | { readonly type: 'probed'; readonly answered: number }
  | { readonly type: 'blocked' }
  | { readonly type: 'dirtied' }
  | { readonly type: 'closed' }
  /** Operations whose outcome the application has got. */
  | { readonly type: 'operations'; readonly operations: readonly Operation[] }
  | { readonly type: 'overdue'; readonly pending: Pending }
  /** The last message of a process that ends, for whatever reason. */
  | { readonly type: 'ended'; readonly pending: readonly Pending[] }

/** Which message answers which command. */
export interface AnswerTypes {
  readonly open: 'opened'
  readonly start: 'started'
  readonly pause: 'paused'
  readonly probe: 'probed'
  readonly block: 'blocked'
  readonly dirty: 'dirtied'
  readonly close: 'closed'
}

/** The message that answers a command. */
export type Answer<Type extends Command['type']> = Extract<Message, { type: AnswerTypes[Type] }>

/** {@link AnswerTypes} for the running program. */
export const ANSWERS: AnswerTypes = {
  open: 'opened',
  start: 'started',
  pause: 'paused',
  probe: 'probed',
  block: 'blocked',
  dirty: 'dirtied',
  close: 'closed',
}
