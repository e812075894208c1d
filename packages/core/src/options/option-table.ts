import { checkHook, checkLogger, checkResetPolicy } from './check.ts'
import { type Host, type LoadBalance, readHosts, readLoadBalance, readTarget } from './hosts.ts'
import type { Logger, OwnOptions, StructuredLogger } from './pool-options.ts'
import {
  atMostMax,
  type BudgetValues,
  type Complete,
  checked,
  type EchoLevel,
  nonEmptyName,
  number,
  oneOf,
  orNever,
  type PrePing,
  type Prepare,
  type Read,
  type Retry,
  readBudget,
  readEcho,
  readMaxIdle,
  readPrePing,
  readPrepare,
  readRetry,
  readShedding,
  readWatch,
  type Shedding,
  share,
  type Watch,
  wholeNumber,
} from './read-values.ts'
import { type Replicas, readReplicas } from './replicas.ts'

/** Options whose completed value has another type than what the user gives. */
interface ReadValues {
  /** Empty for a single host, which the driver reads by itself. */
  readonly hosts: readonly Host[]
  readonly loadBalanceHosts: LoadBalance
  readonly budget: BudgetValues | undefined
  readonly replicas: Replicas | undefined
  readonly shedding: Shedding | false
  readonly prePing: PrePing | false
  readonly watch: Watch | false
  readonly connectRetry: Retry | false
  readonly prepare: Prepare | false
  readonly echo: EchoLevel
  readonly logger: Logger | StructuredLogger | undefined
  readonly onConnect: OwnOptions['onConnect']
}

/** The checked and completed value of each option. "Never" and "no limit" are `Infinity`. */
export interface OptionValues extends Omit<Complete<OwnOptions>, keyof ReadValues>, ReadValues {}

/** Options that have no default of their own: another option or the environment decides, or there is none. */
type WithoutDefault = 'hosts' | 'replicas' | 'budget' | 'maxIdle' | 'echo' | 'logger' | 'onConnect'

/** The default of an option, in the unit of the option. */
type Default<Name extends keyof OwnOptions> = Name extends WithoutDefault
  ? undefined
  : Name extends 'prePing' | 'watch' | 'connectRetry'
    ? Exclude<OptionValues[Name], false>
    : NonNullable<OwnOptions[Name]>

/** What the pool knows about an option. Its type and its meaning are in `OwnOptions`. */
interface Option<Name extends keyof OwnOptions> {
  readonly default: Default<Name>
  /** Why the default has this value. */
  readonly reason?: string
  /** Checks what the user gave, `undefined` if nothing, and completes it. */
  readonly read: Read<OptionValues[Name]>
}

/**
 * Every option of the pool: its default, why, and what it may be. To add an option, write its type and its docstring in
 * `OwnOptions`, and its entry here. `npm run reference` writes both into docs/reference.md.
 */
export const OPTIONS: { readonly [Name in keyof OwnOptions]-?: Option<Name> } = {
  max: { default: 10, read: checked(wholeNumber(1)) },
  min: { default: 0, read: checked(wholeNumber(0), atMostMax) },
  budget: { default: undefined, read: readBudget },
  hosts: { default: undefined, read: readHosts },
  targetSessionAttrs: { default: 'any', reason: 'It is what libpq does.', read: readTarget },
  loadBalanceHosts: { default: false, read: readLoadBalance },
  hostRecheckMillis: {
    default: 10_000,
    reason: 'A host that was down, or had another role, is tried last for so long, and costs the callers nothing.',
    read: checked(number(0)),
  },
  hostPatienceMillis: {
    default: 1000,
    reason: 'One second is many round trips, even to another data centre.',
    read: checked(number(1)),
  },
  replicas: { default: undefined, read: readReplicas },
  connectionTimeoutMillis: {
    default: 30_000,
    reason: 'Longer than a restart, or a failover of most managed servers. pg has no limit, so its callers can hang.',
    read: orNever(checked(number(0, 'or Infinity'))),
  },
  idleTimeoutMillis: { default: 10_000, read: orNever(checked(number(0, 'or Infinity'))) },
  maxIdle: { default: undefined, read: readMaxIdle },
  maxWaiting: { default: Number.POSITIVE_INFINITY, read: checked(wholeNumber(0, 'or Infinity')) },
  shedding: { default: false, read: readShedding },
  lifo: {
    default: true,
    reason: 'Connections that are not needed become idle for long, and are closed.',
    read: checked(oneOf(true, false)),
  },
  keepaliveMillis: { default: 0, read: orNever(checked(number(0))) },
  leakDetectionMillis: {
    default: 0,
    reason: 'Every lease would pay for a stack trace.',
    read: orNever(checked(number(0))),
  },
  clientConnectionCheckMillis: {
    default: 10_000,
    reason:
      'A killed process leaves its statements running, with their locks. The check costs no round trip: only what a user sets is sent at start-up, where a connection pooler may refuse it.',
    read: checked(wholeNumber(0)),
  },
  maxLifetimeSeconds: { default: 0, read: orNever(checked(number(0, 'or Infinity'))) },
  maxLifetimeJitter: {
    default: 0.1,
    reason: 'Connections that were opened together should not all be replaced together.',
    read: checked(number(0), share),
  },
  maxUses: { default: Number.POSITIVE_INFINITY, read: orNever(checked(wholeNumber(0, 'or Infinity'))) },
  allowExitOnIdle: { default: false, read: checked(oneOf(true, false)) },
  clientPerLease: {
    default: true,
    reason: "Few programs need the same object again, and a late statement in another caller's transaction is worse.",
    read: checked(oneOf(true, false)),
  },
  onConnect: { default: undefined, read: checked(checkHook) },
  prePing: {
    default: Object.freeze({ idleMillis: 500, timeoutMillis: 1000 }),
    reason:
      'Under load a connection is used more often than every 500 ms, and the ping costs nothing. One second is many round trips, even to another data centre.',
    read: readPrePing,
  },
  watch: {
    default: Object.freeze({ silentMillis: 500, timeoutMillis: 1000 }),
    reason:
      'Most statements are faster, and cost nothing. With two questions a dead connection is found in about a second.',
    read: readWatch,
  },
  invalidateOnDisconnect: {
    default: 'suspect',
    reason:
      'A restart or a failover ends all connections, and a ping finds that out in a round trip. An administrator ends one, and opening all others again would cost more than the loss.',
    read: checked(oneOf('all', 'suspect', 'one')),
  },
  resetOnReturn: {
    default: 'rollback',
    reason: 'It costs no round trip when the session is clean.',
    read: checked(checkResetPolicy),
  },
  connectRetry: {
    default: Object.freeze({
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 50,
      maxTimeout: 1000,
      factor: 2,
      randomize: true,
    }),
    reason:
      'One attempt per pool and second is no load for a server, and a restart takes about a second. An attempt that is refused at once costs next to nothing, so five a second find a server as soon as it is back. The pauses vary, since many processes lose the same server at the same time.',
    read: readRetry,
  },
  closeTimeoutMillis: { default: 5000, read: checked(number(0)) },
  keepAlive: {
    default: true,
    reason: 'Without it (the default of pg) a connection that a firewall has dropped is never noticed.',
    read: checked(),
  },
  keepAliveInitialDelayMillis: {
    default: 10_000,
    reason:
      'With 0, which is what pg passes, Linux waits for two hours. Node then asks ten times, once a second: a dead way is found after 20 seconds.',
    read: checked(number(0)),
  },
  lostCommit: { default: 'resolve', read: checked(oneOf('resolve', 'report')) },
  commitTimeoutMillis: {
    default: 30_000,
    reason: 'A COMMIT that runs many deferred triggers may take long.',
    read: orNever(checked(number(0))),
  },
  retryReads: {
    default: true,
    reason: 'The server guarantees that a further run writes nothing.',
    read: checked(oneOf(true, false)),
  },
  transactionalWrites: {
    default: false,
    reason: 'Each write takes a round trip more.',
    read: checked(oneOf(true, false)),
  },
  prepare: {
    default: 'auto',
    reason:
      'The server needs half of the time for a statement that it has planned. What that might break is excluded or healed, and behind a pooler nothing is prepared.',
    read: readPrepare,
  },
  maxPipeline: {
    default: 16,
    reason:
      'Under a mixed load, most reads are answered sooner than with a connection of their own, and no read waits for long.',
    read: checked(wholeNumber(1)),
  },
  pipelineWrites: {
    default: false,
    reason: 'A lost connection may leave several writes unknown instead of one.',
    read: checked(oneOf(true, false)),
  },
  pooler: {
    default: 'auto',
    reason: 'What needs a direct session waits until a session has shown that it is one.',
    read: checked(oneOf('auto', 'none', 'session', 'transaction')),
  },
  name: { default: 'holdfast', read: checked(nonEmptyName) },
  echo: { default: undefined, read: readEcho },
  logger: { default: undefined, read: checked(checkLogger) },
}

/** How transactions are retried, unless `retry` says otherwise. */
export const TRANSACTION_RETRY: Retry = Object.freeze({
  // A transaction that fails four times has a conflict that more retries will not solve.
  retries: 3,
  minTimeout: 50,
  maxTimeout: 1000,
  factor: 2,
  // Two transactions that conflicted must not run at the same time again.
  randomize: true,
})
