import { Cluster, type ClusterConfig, type Settings } from '../../support/index.ts'
import { TranslatingProxy } from './translating-proxy.ts'

/** A server, and the way to it. */
export interface Place extends AsyncDisposable {
  readonly cluster: Cluster
  /** Where the writers log in. */
  readonly config: ClusterConfig
  /** What each of the writers' sessions runs first. */
  readonly greeting?: string
  /** The standby that each COMMIT waits for. */
  readonly standby?: Cluster
  /** Whether sessions are to be notified all the time. */
  readonly isNotified?: true
}

/** What makes the window between COMMIT and its answer wider, or what says something in it. */
export interface Condition {
  readonly name: string
  open(): Promise<Place>
}

/** Without its key: what is written twice must be seen, not refused. */
const TABLE = 'create table written (id text not null); grant all on written to app'

const DEFERRED = `
  create function nap() returns trigger language plpgsql as $$
    begin
      perform pg_sleep(random() * 0.006);
      return null;
    end $$;
  create constraint trigger naps after insert on written deferrable initially deferred
    for each row execute function nap()`

/** No TLS and no SCRAM: both would only make each reconnect slower. */
const FAST = { tls: false, hba: 'host all all 127.0.0.1/32 trust' }

interface Parts {
  readonly settings?: Settings
  readonly sql?: string
  readonly greeting?: string
  readonly isNotified?: true
}

async function onCluster({ settings = {}, sql, ...rest }: Parts): Promise<Place> {
  const cluster = await Cluster.start({ ...FAST, settings })
  await cluster.query(TABLE)
  if (sql !== undefined) await cluster.query(sql)
  return { ...rest, cluster, config: cluster.config(), [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() }
}

async function withStandby(): Promise<Place> {
  const primary = await onCluster({ settings: { wal_retrieve_retry_interval: '50ms' } })
  const standby = await primary.cluster.standby()
  await primary.cluster.setting('synchronous_standby_names', '*')
  return {
    ...primary,
    standby,
    async [Symbol.asyncDispose]() {
      await standby[Symbol.asyncDispose]()
      await primary[Symbol.asyncDispose]()
    },
  }
}

async function translated(): Promise<Place> {
  const place = await onCluster({})
  const proxy = await TranslatingProxy.start(place.cluster)
  return {
    ...place,
    config: proxy.config(place.config),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]()
      await place[Symbol.asyncDispose]()
    },
  }
}

/** All of them. */
export const CONDITIONS: readonly Condition[] = [
  { name: 'nothing special', open: () => onCluster({}) },
  {
    name: 'every statement logged',
    // At `log` the server also sends the client what it logs: after CommandComplete.
    open: () =>
      onCluster({ settings: { log_min_duration_statement: 0, log_duration: 'on', client_min_messages: 'log' } }),
  },
  { name: 'a deferred trigger that sleeps', open: () => onCluster({ sql: DEFERRED }) },
  { name: 'LISTEN and a storm of NOTIFY', open: () => onCluster({ greeting: 'listen storm', isNotified: true }) },
  { name: 'a synchronous standby that stops', open: withStandby },
  { name: 'messages in another language', open: translated },
]
