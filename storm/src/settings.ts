/** The size of the service that is put into the storm, and how long everything takes. The same for every stack. */
export const SETTINGS = {
  /** `max` of every pool: below the number of callers, so that a lost slot is felt. */
  poolMax: 8,
  readers: 8,
  writers: 4,
  /** Callers that move money: the ones with transactions. */
  movers: 4,
  /** A caller's pause between two operations, at least and at most. */
  thinkMillis: [40, 120],
  /** How often many things are asked at once, so that every connection of the pool is used now and then. */
  burstEveryMillis: 700,
  /** What a mover does between two statements of its transaction. */
  workInsideTransactionMillis: 6,
  /** Every so many transfers one is beyond the account's means: rolled back by the application. */
  declineEvery: 10,
  accountsPerMover: 4000,
  openingBalance: 1000,

  /** What every packet takes on its way, each way: a server in the next data centre. */
  networkDelayMillis: 1,
  /** How many services share the machine's cores: stacks beyond these come in another wave. */
  lanesAtOnce: 5,

  /** For the stacks that are given one. */
  queryTimeoutMillis: 2500,
  /** An operation without an outcome for so long hangs, to whoever waits for it. */
  hangMillis: 5000,

  /** One fault: the calm before, the fault and the recovery, and then the time to look at what is left. */
  calmMillis: 1200,
  workloadMillis: 7000,
  /** About: the next fault waits until the last stack has been looked at. */
  phaseMillis: 8800,
  drainMillis: 700,
  probeMillis: 900,
  probeRounds: 2,
} as const
