/** What the process that weighs a pool is asked for. */
export interface WeighCommand {
  readonly contestant: 'holdfast' | 'pg-pool'
  readonly connections: number
  readonly waiters: number
}

/** What it answers, in bytes of the heap. */
export interface Weights {
  /** A connected client that belongs to no pool. */
  readonly bareClient: number
  /** An idle client of the pool. */
  readonly idleConnection: number
  readonly waiter: number
}
