import type { Client, PoolConfig } from 'pg'
import { CommitResolver } from './commit/resolver.ts'
import { Connector } from './connect/connector.ts'
import { HostList } from './connect/host-list.ts'
import { openSession } from './connect/open-aside.ts'
import { inTime, lookForPromotion, loseOthers } from './connect/promotion.ts'
import type { Connection } from './connection/connection.ts'
import { ask } from './connection/question.ts'
import { KnownPooler } from './driver/known-pooler.ts'
import { reachesAddress } from './driver/reach.ts'
import { Engine } from './engine/engine.ts'
import { noAnswer } from './errors.ts'
import { capacityOf } from './guard/pool-capacity.ts'
import { ProcessGuard } from './guard/process-guard.ts'
import { addressOf, type Host } from './options/hosts.ts'
import type { PoolOptions } from './options/pool-options.ts'
import type { Watch } from './options/read-values.ts'
import type { ResolvedOptions } from './options/resolved-options.ts'
import { severityOf } from './policy/classify-error.ts'
import { deathError, reachOfDeath } from './policy/death.ts'
import type { ReaderTerms } from './replicas/reader-terms.ts'
import { watchReplicas } from './replicas/watch-replicas.ts'
import { publishRetry } from './rerun/reruns.ts'
import { type Clock, systemClock } from './runtime/clock.ts'
import { type PoolEventType, Publisher } from './telemetry/events.ts'
import { pgEvents } from './telemetry/pg-events.ts'
import type { PoolStatus } from './telemetry/status.ts'
import { subscribeAll } from './telemetry/subscribe-all.ts'
import { AskingSession, type SessionAside } from './watch/asking-session.ts'
import { Watcher } from './watch/watcher.ts'

/** How long a lost COMMIT is asked for if callers have no deadline. */
const LONGEST_RESOLVE_MILLIS = 60_000

/** What the watch needs of the other parts, which need it themselves. */
interface WatchNeeds {
  readonly options: { readonly watch: Watch | false }
  readonly clock: Clock
  readonly publisher: Publisher
  /** A host has not answered a question. */
  readonly onSilent: (host: Host) => void
  /** Opens a session beside the pool's connections, to this host. */
  readonly openSession: (host: Host | undefined) => Promise<SessionAside>
  readonly engine: () => Engine
}

/** Puts the watch together: what it asks, and what follows from the answers. */
function composeWatch({
  options,
  clock,
  publisher,
  onSilent,
  openSession,
  engine,
}: WatchNeeds): Watcher<Connection> | undefined {
  if (!options.watch) return undefined
  const { silentMillis, timeoutMillis } = options.watch
  // One for each host; for a single one, which has no name, one.
  const sessions = new Map<Host | undefined, AskingSession>()
  const sessionAt = (host: Host | undefined): AskingSession => {
    const session =
      sessions.get(host) ??
      new AskingSession({
        clock,
        timeoutMillis,
        askIdle: (sql, millis) => {
          const { healthCheck, inventory } = engine()
          if (inventory.next?.candidate?.host !== host) return undefined
          return healthCheck.askIdle((connection) => ask(connection, sql, clock, millis))
        },
        openSession: () => openSession(host),
      })
    sessions.set(host, session)
    return session
  }
  const closeAll = (): void => {
    for (const session of sessions.values()) session.close()
  }
  const abandonAll = (): void => {
    for (const session of sessions.values()) session.abandon()
  }
  const watcher = new Watcher<Connection>({
    clock,
    silentMillis,
    connections: () => engine().inventory.all(),
    ask: (sql, how, host) => {
      const asked = sessionAt(host).ask(sql, how)
      if (host) asked.catch((error) => severityOf(error) === undefined && onSilent(host))
      return asked
    },
    reaches: ({ client }) => reachesAddress(client, clock, timeoutMillis),
    onSlow: (connection, slow) => {
      connection.liveness.slow = slow
    },
    onVerdict: (connection, dead) => {
      connection.liveness.isDeclaredDead = true
      publisher.publish({ type: 'connection-declared-dead', connection, ...dead })
    },
    onDead: (connection, death) => connection.markLost(deathError(death), reachOfDeath(death)),
    onLimited: (reason) => publisher.publish({ type: 'watch-limited', reason }),
  })
  const END: Partial<Record<PoolEventType, () => void>> = {
    'pool-invalidated': closeAll,
    'pool-disposed': abandonAll,
    'process-changed': () => {
      abandonAll()
      watcher.restart()
    },
    'pool-closed': () => {
      watcher.stop()
      closeAll()
    },
  }
  publisher.subscribe(
    ({ type }) => END[type]?.(),
    (type) => type in END,
  )
  return watcher
}

/** The hosts that a connection looks for one that suits; undefined if there is a single one, in any role. */
function hostListOf(options: ResolvedOptions, clock: Clock, reader: ReaderTerms | undefined): HostList | undefined {
  const { hosts, targetSessionAttrs } = options
  if (hosts.length === 0 && targetSessionAttrs === 'any') return undefined
  const ofReader = reader && { fallback: reader.fallback, failsAtOnce: reader.replicas.fallback === 'fail' }
  return new HostList({ ...options, ...ofReader, hosts: hosts.length > 0 ? hosts : [AS_GIVEN] }, clock)
}

/** A single host: the driver reads where it is. */
const AS_GIVEN: Host = { host: undefined, port: undefined }

/** What is known of a pooler in front of the server. What it shows is published. */
function poolerOf({ pooler: option, resetOnReturn }: ResolvedOptions, publisher: Publisher): KnownPooler {
  const pooler = new KnownPooler(option)
  const checkReset = (): void => {
    const isOfSession = resetOnReturn === 'session' || resetOnReturn === 'discard'
    if (pooler.isPerTransaction && isOfSession) pooler.needs('reset')
  }
  pooler.listener = {
    onFound: (found) => {
      publisher.publish({ type: 'pooler-found', ...found })
      checkReset()
    },
    onNeed: (need) => publisher.publish({ type: 'session-needed', need }),
  }
  checkReset()
  return pooler
}

/** The pool, as the subscribers know it. */
export interface ComposedPool extends NodeJS.EventEmitter {
  status(): PoolStatus
}

/** Puts the parts together: what the engine uses, and what subscribes to its events. */
export function composeEngine(
  pool: ComposedPool,
  given: PoolOptions,
  options: ResolvedOptions,
  clientConfig: () => PoolConfig,
  reader?: ReaderTerms,
): Engine {
  const clock = systemClock
  const publisher = new Publisher(options.name)
  // Subscribed before pg's events, whose listeners may use the pool: else what they do would be published before its cause.
  subscribeAll(publisher, { options, clock, status: () => pool.status() })
  const forPg = pgEvents(pool)
  publisher.subscribe(forPg.subscriber, forPg.wants)
  const { log } = given
  if (log) publisher.subscribe((event) => log(event.type, 'connection' in event ? event.connection.id : ''))
  const needs = { options, clock, publisher, connector: () => connector, engine: () => engine }
  const guard = new ProcessGuard(clock, () => process.pid)
  const openAt = (host: Host | undefined): Promise<SessionAside> => {
    const opening = openSession(connector, clock, host)
    return host ? inTime(opening, clock, options.hostPatienceMillis, addressOf(host)) : opening
  }
  let isLooking = false
  const onSilent = (host: Host): void => {
    // Nothing on a replica writes, so that it needn't be looked for what was promoted in its place.
    if (reader) return hosts?.noteFailure(host, noAnswer(options.hostPatienceMillis))
    if (isLooking || !hosts?.isForPrimary || hosts.size < 2) return
    isLooking = true
    void lookForPromotion(
      {
        connections: () => engine.inventory.all(),
        openSession: openAt,
        hosts,
        patienceMillis: options.hostPatienceMillis,
      },
      host,
    ).finally(() => {
      isLooking = false
    })
  }
  const capacity = capacityOf(needs)
  const openForWatch = (host: Host | undefined): Promise<SessionAside> =>
    capacity.budget?.openAside() ?? openSession(connector, clock, host)
  const watch = composeWatch({ ...needs, onSilent, openSession: openForWatch })
  // DISCARD ALL drops prepared statements after each lease.
  const prepare = options.resetOnReturn === 'discard' ? false : options.prepare
  const hosts = hostListOf(options, clock, reader)
  const lagOf = reader && hosts && watchReplicas({ terms: reader, hosts, publisher, engine: () => engine })
  const pooler = poolerOf(options, publisher)
  const connector: Connector = new Connector(
    {
      hosts,
      lagOf,
      pooler,
      onHostChanged: ({ from, to, role, isPromoted }) => {
        publisher.publish({ type: 'host-changed', from: addressOf(from), to: addressOf(to), role })
        if (isPromoted) loseOthers(engine.inventory.all(), to)
      },
      onFormerPrimary: ({ host, ...timelines }) =>
        publisher.publish({ type: 'former-primary', host: addressOf(host), ...timelines }),
      onRefusedByStandby: (host) => publisher.publish({ type: 'standby-refused-write', host: addressOf(host) }),
      watch,
      commits:
        options.lostCommit === 'report'
          ? undefined
          : {
              timeoutMillis: options.commitTimeoutMillis,
              resolve: (transaction, host) => resolver.resolve(transaction, host),
              fence: (session, host) => resolver.fence(session, host),
              onResolved: (resolved) => publisher.publish({ type: 'commit-resolved', ...resolved }),
              isRefused: false,
              arePrepared: prepare !== false,
            },
      clientConfig,
      Client: (given.Client ?? undefined) as typeof Client | undefined,
      connectionTimeoutMillis: options.connectionTimeoutMillis,
      hint: options.addressHint,
      onStatementRerun: (attempt, error) => publishRetry(publisher, { reason: 'stale-session', attempt, error }),
      prepare,
      counts: publisher.counts,
      onPrepareStopped: ({ reason, text, namedMillis, unnamedMillis }) =>
        publisher.publish({ type: 'prepare-stopped', reason, text, namedMillis, unnamedMillis }),
      queryTimeoutMillis: options.queryTimeoutMillis,
      allowExitOnIdle: options.allowExitOnIdle,
      clientPerLease: options.clientPerLease,
      transactionalWrites: options.transactionalWrites,
      clientConnectionCheckMillis: options.clientConnectionCheckMillis,
      isConnectionCheckAsked: given.clientConnectionCheckMillis === undefined,
      onConnect: given.onConnect,
      verify: given.verify,
    },
    clock,
  )
  const resolver = new CommitResolver({
    openSession: openAt,
    otherHosts: (host) => hosts?.othersThan(host) ?? [],
    timelines: hosts?.timelines,
    clock,
    timeoutMillis: Math.min(options.connectionTimeoutMillis, LONGEST_RESOLVE_MILLIS),
    onFenced: (fenced) => publisher.publish({ type: 'session-fenced', ...fenced }),
  })
  const engine: Engine = new Engine({
    options,
    connector,
    clock,
    publisher,
    interruption: (now) => guard.look(now),
    capacity,
    shortenResolver: (millis) => resolver.shorten(millis),
  })
  return engine
}
