import type { HostList } from '../connect/host-list.ts'
import { openSession } from '../connect/open-aside.ts'
import { inTime } from '../connect/promotion.ts'
import type { Connection } from '../connection/connection.ts'
import { ask } from '../connection/question.ts'
import type { Engine } from '../engine/engine.ts'
import { addressOf, type Host } from '../options/hosts.ts'
import type { PoolEventType, Publisher } from '../telemetry/events.ts'
import { AskingSession, type SessionAside } from '../watch/asking-session.ts'
import { Lag, PRIMARY_QUESTION } from './lag.ts'
import type { ReaderTerms } from './reader-terms.ts'
import { ReplicaWatch } from './replica-watch.ts'

/** What watching the replicas of a pool takes. */
export interface WatchReplicasParts {
  readonly terms: ReaderTerms
  readonly hosts: HostList
  readonly publisher: Publisher
  /** The engine of `pool.reader`. */
  readonly engine: () => Engine
}

/** Watches the replicas of `pool.reader`. Returns how far the server of a new connection lags, if that counts. */
export function watchReplicas({
  terms,
  hosts,
  publisher,
  engine,
}: WatchReplicasParts): ((connection: Connection) => Promise<Error | undefined>) | undefined {
  const { primary, options } = terms
  const { clock } = primary
  const { maxLagBytes } = terms.replicas
  const timeoutMillis = options.hostPatienceMillis
  const sessionOf = (pool: () => Engine, host: Host | undefined, open: () => Promise<SessionAside>): AskingSession =>
    new AskingSession({
      clock,
      timeoutMillis,
      askIdle: (sql, millis) => {
        const { healthCheck, inventory } = pool()
        if (host && inventory.next?.candidate?.host !== host) return undefined
        return healthCheck.askIdle((connection) => ask(connection, sql, clock, millis))
      },
      openSession: open,
    })
  const ofPrimary = sessionOf(
    () => primary,
    undefined,
    () => openPrimary(primary, timeoutMillis),
  )
  const askPrimary = async (): Promise<unknown> => {
    const [row] = await ofPrimary.ask(PRIMARY_QUESTION, 'any')
    return row?.written
  }
  const lag = maxLagBytes === Number.POSITIVE_INFINITY ? undefined : new Lag({ clock, maxLagBytes, askPrimary })
  const watch = new ReplicaWatch({
    clock,
    hosts,
    lag,
    connections: () => engine().inventory.all(),
    leave: (connection) => engine().retireAndDispatch(connection, 'other-host'),
    makeSession: (host) => sessionOf(engine, host, () => openSession(engine().connector, clock, host)),
  })
  const ON_EVENT: Partial<Record<PoolEventType, () => void>> = {
    'connection-opened': () => watch.begin(),
    'pool-disposed': () => {
      watch.closeSessions(false)
      ofPrimary.abandon()
    },
    'process-changed': () => {
      watch.restart()
      ofPrimary.abandon()
    },
    'pool-closed': () => {
      watch.stop()
      ofPrimary.close()
    },
  }
  publisher.subscribe(
    ({ type }) => ON_EVENT[type]?.(),
    (type) => type in ON_EVENT,
  )
  if (!lag) return undefined
  return async (connection) =>
    connection.candidate && !hosts.isFallback(connection.candidate.host) ? await lag.of(connection) : undefined
}

/** A session of the host that takes writes: the one to which the pool's connections lead, else whichever answers so. */
async function openPrimary({ connector, clock }: Engine, timeoutMillis: number): Promise<SessionAside> {
  const { hosts } = connector
  const current = hosts?.current
  const others = hosts && hosts.size > 1 ? hosts.othersThan(current) : []
  let failure: unknown = new Error('no server takes writes')
  for (const host of current || others.length === 0 ? [current, ...others] : others) {
    let session: SessionAside | undefined
    try {
      const opening = openSession(connector, clock, host)
      session = await (host ? inTime(opening, clock, timeoutMillis, addressOf(host)) : opening)
      const [row] = await session.ask(PRIMARY_QUESTION, timeoutMillis)
      if (typeof row?.written === 'string') return session
    } catch (error) {
      failure = error
    }
    session?.close(timeoutMillis)
  }
  throw failure
}
