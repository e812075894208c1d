import type { Defaults, Retry } from './resolved-options.ts'

/** Where an option is absent. What differs from pg says why. */
export const DEFAULTS: Defaults = Object.freeze({
  max: 10,
  min: 0,
  // Longer than a restart or the failover of most managed servers; pg waits for ever, and so do its users.
  connectionTimeoutMillis: 30_000,
  idleTimeoutMillis: 10_000,
  maxLifetimeSeconds: 0,
  // Connections opened together by a burst should not all be opened anew together.
  maxLifetimeJitter: 0.1,
  maxUses: Number.POSITIVE_INFINITY,
  maxWaiting: Number.POSITIVE_INFINITY,
  // What isn't needed can age, and be closed.
  lifo: true,
  keepaliveMillis: 0,
  // Every lease would pay for a stack trace.
  leakDetectionMillis: 0,
  // A connection pooler in between may refuse what it doesn't know.
  clientConnectionCheckMillis: 0,
  allowExitOnIdle: false,
  // Programs that must find the same object again are few, and a late statement in a stranger's transaction is worse.
  clientPerLease: true,
  prePing: Object.freeze({
    // Under load connections are used more often than this, and the ping costs nothing.
    idleMillis: 500,
    // Many round trips to another data centre; a server that needs longer to say nothing is not well.
    timeoutMillis: 1000,
  }),
  invalidateOnDisconnect: 'all',
  resetOnReturn: 'rollback',
  connectRetry: Object.freeze({
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 50,
    // One probe a process and a second is nothing to a server, and a restart takes about as long.
    maxTimeout: 1000,
    factor: 2,
    // Many processes lose the same server in the same moment.
    randomize: true,
  }),
  closeTimeoutMillis: 5000,
  lostCommit: 'resolve',
  // A COMMIT that runs many deferred triggers may take its time.
  commitTimeoutMillis: 30_000,
  // pg leaves it off; a flow that a firewall forgot is then never noticed.
  keepAlive: true,
  name: 'holdfast',
})

/** How transactions are retried. */
export const TRANSACTION_RETRY: Retry = Object.freeze({
  // Whoever loses three times in a row has a conflict that more of the same won't solve.
  retries: 3,
  minTimeout: 50,
  maxTimeout: 1000,
  factor: 2,
  // Two that have collided must not collide again.
  randomize: true,
})
