import type { AimedLink, AimedProxy, Cluster, FaultProxy } from '@holdfast/test/support'
import pg, { type QueryResultRow } from 'pg'
import { SETTINGS } from '../settings.ts'
import type { ConnectionSettings } from '../stacks/stack.ts'

/** A session of the service, as the server sees it. */
export interface ServerSession {
  readonly pid: number
  readonly state: string | null
  readonly query: string
}

/** How long a query of the results may take before the storm gives up. */
const DIRECT_PATIENCE_MILLIS = 15_000

/** What one stack runs on: a server, the network in front of it, and a connection past that network to check the results. */
export class Ground implements AsyncDisposable {
  readonly proxy: FaultProxy
  /** Only if the storm runs the server: a proxy that reads messages needs the server's certificate. */
  readonly aimed: AimedProxy | undefined
  /** Where the service logs in: through the proxy. */
  readonly service: ConnectionSettings
  /** A schema of this run's own. */
  readonly schema: string
  #cluster: Cluster | undefined
  #direct: pg.ClientConfig
  /** The standbys that were made. */
  readonly #standbys: Cluster[] = []
  readonly #dispose: () => Promise<void>
  readonly #hit = new Set<AimedLink>()

  constructor(parts: {
    readonly proxy: FaultProxy
    readonly cluster?: Cluster
    readonly aimed?: AimedProxy
    readonly service: ConnectionSettings
    readonly schema: string
    readonly direct: pg.ClientConfig
    readonly dispose: () => Promise<void>
  }) {
    this.proxy = parts.proxy
    this.#cluster = parts.cluster
    this.aimed = parts.aimed
    this.service = parts.service
    this.schema = parts.schema
    this.#direct = parts.direct
    this.#dispose = parts.dispose
  }

  /** The server, only if the storm may stop and freeze it. */
  get cluster(): Cluster | undefined {
    return this.#cluster
  }

  /** Adds a standby to the storm's own server. Each COMMIT waits for it, so that none is lost when it is promoted. */
  async addStandby(): Promise<Cluster> {
    const cluster = this.#cluster
    if (!cluster) throw new Error('BUG: only a server of our own can have a standby')
    const standby = await cluster.standby()
    this.#standbys.push(standby)
    await cluster.setting('synchronous_standby_names', '*')
    return standby
  }

  /** The address leads to another server from now on, as when a DNS name or a virtual address moves. */
  moveTo(cluster: Cluster): void {
    this.#cluster = cluster
    this.aimed?.retarget(cluster)
    this.#direct = { ...this.#direct, host: cluster.host, port: cluster.port }
  }

  /** Makes the network work, with its usual delay. Both ends of silenced connections learn that these are dead. */
  async healNetwork(): Promise<void> {
    await this.proxy.heal()
    for (const link of this.#hit) link.cut('rst')
    this.#hit.clear()
    this.proxy.delay(SETTINGS.networkDelayMillis)
  }

  /** Queries the server directly, in a session that no fault affects. */
  async query<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ ...this.#direct, connectionTimeoutMillis: DIRECT_PATIENCE_MILLIS })
    client.on('error', () => {}) // The statement that is running rejects.
    await client.connect()
    try {
      return (await client.query<Row>(text, [...values])).rows
    } finally {
      await client.end()
    }
  }

  /** Cuts a connection that was hit when the network heals, so that both of its ends learn that it is dead. */
  cutWhenHealed(link: AimedLink): void {
    this.#hit.add(link)
  }

  /** The service's sessions. */
  sessions(): Promise<ServerSession[]> {
    return this.query<ServerSession & QueryResultRow>(
      'select pid, state, query from pg_stat_activity where application_name = $1 order by pid',
      [this.service.application_name],
    )
  }

  /**
   * Ends the service's sessions, or at most so many in the given state. Returns how many were signalled. The choice is random: in
   * the server's order, the session that has replaced a victim would be the next victim.
   */
  async terminate(state?: string, most?: number): Promise<number> {
    const rows = await this.query<{ told: boolean }>(
      `with victims as materialized (
         select pid from pg_stat_activity
          where application_name = $1 and ($2::text is null or state = $2) order by random() limit $3)
       select pg_terminate_backend(pid) as told from victims`,
      [this.service.application_name, state, most],
    )
    return rows.filter(({ told }) => told).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const standby of this.#standbys) await standby[Symbol.asyncDispose]()
    await this.#dispose()
  }
}
