/** How the soaked process is set up, and how long things take. What is not here is as in the storm. */
export const SOAK = {
  /** Short, so that every way in which a connection ages is taken many times a minute. */
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
  /** A caller's pause between two operations, at least and at most: short, for what is looked for grows with each. */
  thinkMillis: [20, 60],

  /** Work before a fault, at least and at most. */
  calmMillis: [300, 900],
  /** Work after it. */
  recoveryMillis: 1200,
  sampleMillis: 1000,
  /** Until every operation has its outcome: longer than all timeouts in a row. An answer, however late, is no leak. */
  drainMillis: 20_000,
  /** Until the last timer has run out, the last socket is closed, and the server has noticed. */
  settleMillis: 5000,
  /** A process that has not answered for so long never will. */
  answerMillis: 60_000,
} as const
