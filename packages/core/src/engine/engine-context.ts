import type { AsyncResource } from 'node:async_hooks'
import type { Connector } from '../connect/connector.ts'
import type { Connection } from '../connection/connection.ts'
import type { ResolvedOptions } from '../options/resolved-options.ts'
import type { BudgetStatus } from '../policy/budget-share.ts'
import type { RetireReason } from '../policy/retirement.ts'
import type { ReadsAgain } from '../rerun/read-again.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Interruption, Publisher } from '../telemetry/events.ts'
import type { Inventory } from './inventory.ts'
import type { Waiter } from './waiter-list.ts'

/** The right to have one connection, where pools share a budget. */
export interface Slot {
  /** The connection that has it. */
  holder: Connection | undefined
}

/** The connections that the pool shares with other pools: see the option `budget`. */
export interface SharedBudget {
  /** Takes a slot for one connection. Rejects if none is free: asking again may help. */
  take(): Promise<Slot>
  /** Gives back a slot for which no connection was made. That of a connection is given back when its session has ended. */
  giveBack(slot: Slot): void
  /** Has the session of a connection hold its slot: after its login, and after a reset has freed its locks. */
  hold(connection: Connection): Promise<void>
  /** The number of the slot that a connection has. */
  slotOf(connection: Connection): number | undefined
  /** What is known of the budget. */
  readonly status: BudgetStatus
  /** Leaves the budget, once the pool has no connection. */
  close(): Promise<void>
}

/** How many connections the server grants. */
export interface Capacity {
  /** Warns if the pools of this service can want more. Asked once. */
  check(connection: Connection): Promise<void>
  /** Whether so many are in use that other processes will soon be refused. */
  isNearlyFull(connection: Connection): Promise<boolean>
  /** Undefined if the pool shares no budget. */
  readonly budget?: SharedBudget | undefined
}

/** What the engine is built from. */
export interface EngineParts {
  readonly options: ResolvedOptions
  readonly connector: Pick<
    Connector,
    | 'make'
    | 'logIn'
    | 'openBeside'
    | 'openAside'
    | 'prove'
    | 'runHooks'
    | 'replayHook'
    | 'mayPipeline'
    | 'hosts'
    | 'pooler'
  >
  readonly clock: Clock
  readonly publisher: Publisher
  /** Whether the process was suspended, or has become another one, since the last time this was asked. */
  readonly interruption: (now: number) => Interruption | undefined
  /** What the server says of how many connections it grants. Asked in the background. */
  readonly capacity?: Capacity | undefined
  /** Gives the resolver of lost COMMITs this many milliseconds to finish. */
  readonly shortenResolver?: ((millis: number) => void) | undefined
}

/**
 * The engine as its parts know it: the state that they share, and what they may tell it or ask of it. The engine passes
 * itself to each part by this interface, together with those parts that this one uses directly.
 */
export interface EngineContext extends EngineParts {
  readonly inventory: Inventory
  /** The plain reads that run again. */
  readonly reads: ReadsAgain
  /** Whether the pool is shutting down. `Shutdown` sets it, once. */
  isShuttingDown: boolean
  /** Why the last attempt to open a connection failed; undefined once one has succeeded. */
  readonly lastConnectFailure: unknown
  /** Whether the queue has waiters. */
  readonly hasWaiters: boolean
  /** Whether a waiter will use a connection that is being opened. */
  isOpeningWanted(): boolean

  /** Serves the waiters as far as connections are free, and has more connections opened if that isn't enough. */
  dispatch(now: number): void
  /**
   * Takes in a connection that is free now. `isProven` says that it needs no ping before its next lease. If it becomes
   * idle, it counts as idle since `idleSince`. If a check throws, the connection is retired, so that no slot is lost.
   */
  makeAvailable(connection: Connection, now: number, isProven?: boolean, idleSince?: number): void
  /** Retires a connection that has a slot, and gives the slot to the waiters. */
  retireAndDispatch(connection: Connection, reason: RetireReason, cause?: unknown): void
  /** Leases another connection, before all callers that asked later than `askedAt`. Returns why it can't, or undefined. */
  reacquire(waiter: Waiter, askedAt: number): string | undefined
  /** Ends the lease of a connection. */
  release(connection: Connection, discard?: Error | boolean): void
  /** Opens one connection, and makes it available. Resolves with false if the pool has dropped it meanwhile. */
  openConnection(opener: AsyncResource | undefined): Promise<boolean>

  /** Told when an attempt to open a connection has ended, or begins to pause: others may be opened now. */
  onOpeningEnded(): void
  /** Told when the last waiter has left the queue. */
  onQueueEmpty(): void
  /** Told each time that maintenance runs. */
  onHeartbeat(now: number): void
}
