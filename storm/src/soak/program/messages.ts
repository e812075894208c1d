import { ANSWERS, type AnswerTypes, type Command, type Message } from '../../service/messages.ts'
import type { ConnectionSettings } from '../../stacks/stack.ts'
import type { Pending } from '../../workload/journal.ts'
import type { Operation } from '../../workload/operation.ts'

/** What the soaked process knows of itself at one moment. */
export interface Sample {
  /** The heap without code and bytecode, which grow for as long as the engine optimises functions again. */
  readonly objects: number
  readonly heapUsed: number
  /** Memory that belongs to objects on the heap, but lies elsewhere: buffers, TLS. */
  readonly external: number
  readonly rss: number
  /** What keeps the event loop alive, by kind: `TCPSocketWrap`, `Timeout` … */
  readonly resources: Readonly<Record<string, number>>
  /** On both pools and on the process. */
  readonly listeners: number
  /** On the one signal that lives as long as the process. */
  readonly signalListeners: number
  /** How many connections the pools say they have. */
  readonly connections: number
  /** Operations ended so far. */
  readonly operations: number
  /** Connections opened so far. */
  readonly opened: number
  /** What the pools have warned of so far, above all leases that last too long. */
  readonly warnings: number
}

/** A command of the soak to the soaked process. */
export type SoakCommand =
  /** Answered by `opened`. */
  | { readonly type: 'open'; readonly connection: ConnectionSettings; readonly schema: string; readonly seed: number }
  | Extract<Command, { type: 'start' | 'pause' | 'probe' | 'block' | 'dirty' }>
  /** Answered by `looked`. */
  | { readonly type: 'look' }
  /** Closes every connection and collects all garbage first. Answered by `measured`. */
  | { readonly type: 'measure'; readonly withinMillis: number }
  /** Ends the pools, so that the process ends by itself. Answered by `closed`. */
  | { readonly type: 'close' }

/** A message of the soaked process to the soak. */
export type SoakMessage =
  | Extract<Message, { type: 'opened' | 'started' | 'probed' | 'blocked' | 'dirtied' }>
  /** An operation has its outcome. */
  | { readonly type: 'ended'; readonly operation: Operation }
  | { readonly type: 'looked'; readonly sample: Sample }
  | { readonly type: 'measured'; readonly sample: Sample }
  /** Unasked, every second. */
  | { readonly type: 'sampled'; readonly sample: Sample }
  /** Everything has its outcome, or the time is up: then this has none, and these habits are under way. */
  | { readonly type: 'paused'; readonly pending: readonly Pending[]; readonly habits: readonly string[] }
  /** Node itself warned. */
  | { readonly type: 'warned'; readonly name: string; readonly message: string }
  | { readonly type: 'closed'; readonly sample: Sample }

/** Which message answers which command. */
export interface SoakAnswerTypes extends AnswerTypes {
  readonly look: 'looked'
  readonly measure: 'measured'
}

/** The message that answers a command. */
export type SoakAnswer<Type extends SoakCommand['type']> = Extract<SoakMessage, { type: SoakAnswerTypes[Type] }>

/** {@link SoakAnswerTypes} for the running program. */
export const SOAK_ANSWERS: SoakAnswerTypes = { ...ANSWERS, look: 'looked', measure: 'measured' }
