/** The settings of the soaked process, and the durations. Everything else is as in the storm. */
export const SOAK = {
  /** Short, so that connections age in every way many times a minute. */
  pool: {
    idleTimeoutMillis: 1500,
    maxIdle: 6,
    maxWaiting: 48,
    keepaliveMillis: 400,
    leakDetectionMillis: 900,
    clientConnectionCheckMillis: 500,
    maxLifetimeSeconds: 4,
    maxLifetimeJitter: 0.5,
    maxUses: 150,
    connectionTimeoutMillis: 5000,
    closeTimeoutMillis: 2000,
    prePing: { idleMillis: 100, timeoutMillis: 500 },
  },
  nullPoolMax: 4,
  /** The shortest and the longest pause of a caller between two operations. Short, since a leak grows with each operation. */
  thinkMillis: [20, 60],

  /** The shortest and the longest time before a fault. */
  calmMillis: [300, 900],
  /** The time after a fault. */
  recoveryMillis: 1200,
  sampleMillis: 1000,
  /** Until every operation has its outcome: longer than all timeouts in a row. An answer, however late, is no leak. */
  drainMillis: 20_000,
  /** Until the last timer has run out, the last socket is closed, and the server has noticed. */
  settleMillis: 5000,
  /** After so long without an answer, the process counts as hanging. */
  answerMillis: 60_000,
} as const
