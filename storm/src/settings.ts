/** The durations of a phase: the calm, the fault, the recovery; then what is left is checked. */
export interface Pace {
  /** Before the fault. */
  readonly calmMillis: number
  /** The callers run for so long at least. */
  readonly workloadMillis: number
  /** They run for so long at least after the fault has ended on the last of the stacks. */
  readonly recoveryMillis: number
  /** An estimate of all of it: the next phase waits until the last stack has been checked. */
  readonly aboutMillis: number
}

/** The size of the service in the storm, and all durations. The same for every stack. */
export const SETTINGS = {
  /** `max` of every pool: below the number of callers, so that a lost slot matters. */
  poolMax: 8,
  readers: 8,
  writers: 4,
  /** Callers that move money, in transactions. */
  movers: 4,
  /** The shortest and the longest pause of a caller between two operations. */
  thinkMillis: [40, 120],
  /** How often many queries run at once, so that every connection of the pool is used now and then. */
  burstEveryMillis: 700,
  /** What a mover does between two statements of its transaction. */
  workInsideTransactionMillis: 6,
  /** One in so many transfers exceeds the account's balance, and the application rolls it back. */
  declineEvery: 10,
  accountsPerMover: 4000,
  openingBalance: 1000,

  /** How long after the crash of a primary its standby is promoted. */
  promotionMillis: 1000,
  /** How long a packet travels each way, as to a server in the next data centre. */
  networkDelayMillis: 1,
  /** How many stacks share the machine's cores. Further stacks run in another wave. */
  stacksAtOnce: 6,

  /** For the stack that uses one. */
  queryTimeoutMillis: 2500,
  /** An operation without an outcome for so long counts as hanging. */
  hangMillis: 5000,

  /** How long the callers run in one phase of the whole storm, and of the short one. */
  whole: { calmMillis: 1200, workloadMillis: 6200, recoveryMillis: 0, aboutMillis: 8000 },
  short: { calmMillis: 800, workloadMillis: 3000, recoveryMillis: 1800, aboutMillis: 6500 },
  drainMillis: 700,
  probeMillis: 900,
  probeRounds: 2,
} as const
