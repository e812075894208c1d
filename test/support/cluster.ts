import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { baseBackup } from './base-backup.ts'
import { binaries } from './binaries.ts'
import { temporaryBase } from './cached-directory.ts'
import { type Certificates, issueCertificates } from './certificates.ts'
import { ClusterError } from './errors.ts'
import { freePort } from './free-port.ts'
import { launch, type Postmaster, ServerLog, type StopMode } from './postmaster.ts'
import { childrenOf, processTable } from './process-table.ts'
import { giveTo, type ServerAccount, serverAccount } from './server-account.ts'
import { hbaFile, type Settings, settingsFile, THROW_AWAY_SETTINGS } from './server-settings.ts'
import {
  ADMIN_APPLICATION_NAME,
  listSessions,
  type Session,
  type SessionFilter,
  terminateSessions,
} from './sessions.ts'
import { ADMIN_USER, APPLICATION_USER, DATABASE, template } from './template.ts'
import { until } from './until.ts'
import { Watchdog } from './watchdog.ts'

/** Options of {@link Cluster.start}. */
export interface ClusterOptions {
  /**
   * Whether clients must use TLS, with a certificate for the loopback addresses by an authority of its own.
   *
   * @default true: it is what every managed server demands, and where the interesting failures are.
   */
  readonly tls?: boolean
  /** Goes to postgresql.conf, over the defaults for a throw-away server. */
  readonly settings?: Settings
  /** Lines for pg_hba.conf instead of "everyone with a password"; the superuser is let in whatever they say. */
  readonly hba?: string
  /**
   * Whether it also listens on a Unix socket, in {@link Cluster.socketDirectory}.
   *
   * @default false
   */
  readonly unixSocket?: boolean
  /**
   * How long a start may take, in milliseconds.
   *
   * @default 30_000: a thousand times what it takes, for the busiest of machines.
   */
  readonly startTimeoutMillis?: number
}

/** How to log in to a {@link Cluster}; fits `pg.Client` and every pool on top of it. */
export interface ClusterConfig {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly ssl?: { readonly ca: string; readonly rejectUnauthorized: true }
}

/** The longest path that a Unix socket's address has room for on every system. */
const LONGEST_SOCKET_PATH = 103

/** How long `Symbol.asyncDispose` waits for the server before it takes to SIGKILL. */
const DISPOSE_PATIENCE_MILLIS = 10_000

/** How long the cluster's own log-in may take: it fails, rather than hangs, when the server is frozen. */
const ADMIN_PATIENCE_MILLIS = 15_000

/** Whatever a test does to sessions by {@link Cluster.setting}, the cluster's own are not meant. By the version that has it first. */
const TIMEOUTS: Readonly<Record<string, number>> = {
  idle_session_timeout: 14,
  idle_in_transaction_session_timeout: 10,
  statement_timeout: 10,
  lock_timeout: 10,
  transaction_timeout: 17,
}

/** Turns all timeouts off that a server of this version has. */
function withoutTimeouts(version: string): string {
  const known = Object.entries(TIMEOUTS).filter(([, since]) => Number.parseInt(version, 10) >= since)
  return known.map(([name]) => `-c ${name}=0`).join(' ')
}

const START_ATTEMPTS = 3

const run = promisify(execFile)

/**
 * A real Postgres 18 for one test: starts within a tenth of a second (the first one ever on a machine takes a few),
 * with TLS and SCRAM, as root or any other user, and leaves nothing behind, however the process that started it ends.
 * It can be stopped, restarted, frozen and promoted; its sessions can be watched and ended.
 *
 * ```ts
 * await using cluster = await Cluster.start({ settings: { max_connections: 20 } })
 * const client = new pg.Client(cluster.config())
 * ```
 */
export class Cluster implements AsyncDisposable {
  /** The loopback address. */
  readonly host = '127.0.0.1'
  /** The same for the whole life of the cluster, also after a restart. */
  readonly port: number
  /** Of the ordinary role `app` as well as of the superuser `postgres`. */
  readonly password: string
  /** The authority that signed the server's certificate, in PEM; undefined without TLS. */
  readonly ca: string | undefined

  readonly #options: ClusterOptions
  readonly #account: ServerAccount = serverAccount()
  readonly #directory: string
  readonly #watchdog: Watchdog
  readonly #log = new ServerLog()
  #postmaster: Postmaster | undefined
  #frozen: readonly number[] = []
  #wasKilled = false
  #disposed = false

  private constructor(options: ClusterOptions, port: number, password: string, ca: string | undefined) {
    this.#options = options
    this.port = port
    this.password = password
    this.ca = ca
    this.#directory = fs.mkdtempSync(path.join(temporaryBase(), 'holdfast-cluster-'))
    this.#watchdog = new Watchdog(this.#directory)
    giveTo(this.#account, this.#directory)
  }

  /**
   * Makes a new server and waits until it accepts connections.
   *
   * @throws {ClusterError} when Postgres cannot run here, or does not start; the message says what it logged.
   */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const source = await template()
    const certificates = options.tls === false ? undefined : await issueCertificates()
    for (let attempt = 1; ; attempt++) {
      const cluster = new Cluster(options, await freePort(), source.password, certificates?.ca)
      try {
        await cluster.#create(source.data, certificates)
        await cluster.start()
        return cluster
      } catch (error) {
        await cluster[Symbol.asyncDispose]()
        const portWasTaken = cluster.log.includes('could not create any TCP/IP sockets')
        if (!portWasTaken || attempt === START_ATTEMPTS) throw error
      }
    }
  }

  /** Its data directory. */
  get data(): string {
    return path.join(this.#directory, 'data')
  }

  /** A file with {@link ca}, for what wants a path. */
  get caFile(): string {
    return path.join(this.#directory, 'ca.crt')
  }

  /**
   * What to give to pg as `host` in order to connect over the Unix socket.
   *
   * @throws {ClusterError} when the cluster was not started with `unixSocket`.
   */
  get socketDirectory(): string {
    if (this.#options.unixSocket) return this.#directory
    throw new ClusterError('CLUSTER_NOT_SUPPORTED', 'This cluster was started without `unixSocket: true`.')
  }

  /** The process id of the postmaster; undefined while it is stopped. */
  get pid(): number | undefined {
    return this.#postmaster?.isRunning ? this.#postmaster.pid : undefined
  }

  /** What the server has logged so far. */
  get log(): string {
    return this.#log.text
  }

  /** Where the ordinary role logs in, as a URL; over TLS it names {@link caFile}. */
  get url(): string {
    const tls = this.ca === undefined ? '' : `?sslmode=verify-full&sslrootcert=${encodeURIComponent(this.caFile)}`
    return `postgres://${APPLICATION_USER}:${this.password}@${this.host}:${this.port}/${DATABASE}${tls}`
  }

  /**
   * How the ordinary role logs in, with verified TLS, and what else a client or a pool is to be given. For the
   * superuser, say `{ user: 'postgres' }`.
   */
  config(): ClusterConfig
  config<Extra extends object>(extra: Extra): Omit<ClusterConfig, keyof Extra> & Extra
  config(extra: object = {}): ClusterConfig {
    const config: ClusterConfig = {
      host: this.host,
      port: this.port,
      user: APPLICATION_USER,
      password: this.password,
      database: DATABASE,
      ...(this.ca === undefined ? {} : { ssl: { ca: this.ca, rejectUnauthorized: true } }),
    }
    return Object.assign(config, extra)
  }

  /**
   * Starts the server again, at the same port and with the same data.
   *
   * @throws {ClusterError} when it runs already, or does not start.
   */
  async start(): Promise<void> {
    if (this.#disposed) throw new ClusterError('CLUSTER_DISPOSED', 'This cluster is gone, with its data.')
    if (this.pid !== undefined) throw new ClusterError('CLUSTER_ALREADY_RUNNING', `It runs, as process ${this.pid}.`)
    await this.#launch()
  }

  /** Stops the server and waits until it is gone; a frozen one is thawed for it. Nothing happens if it is stopped. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    await this.#stop(mode)
  }

  /** {@link stop} and {@link start}: the sessions are gone, the data remain. */
  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.start()
  }

  /**
   * Halts the whole server, as when its machine hangs: the kernel still completes TCP handshakes and acknowledges
   * bytes, but nothing is ever answered, {@link query} and {@link sessions} included. Returns when every process has
   * come to its halt.
   *
   * @throws {ClusterError} when the server is not running.
   */
  async freeze(): Promise<void> {
    const postmaster = this.#runningPid()
    // The postmaster first: once it has halted, there can be no new child.
    this.#signal(postmaster, 'SIGSTOP')
    await until(() => processTable().some(({ pid, stopped }) => pid === postmaster && stopped))
    for (const { pid } of childrenOf(postmaster)) this.#signal(pid, 'SIGSTOP')
    await until(() => childrenOf(postmaster).every(({ stopped }) => stopped))
  }

  /** Lets a frozen server go on where it was, with every backend that was frozen one by one. */
  async thaw(): Promise<void> {
    const postmaster = this.pid
    if (postmaster === undefined) return this.#forget(this.#frozen)
    // The children first, so that none of them can end unseen and leave its process id to a stranger.
    for (const { pid } of childrenOf(postmaster)) if (this.#frozen.includes(pid)) this.#signal(pid, 'SIGCONT')
    this.#signal(postmaster, 'SIGCONT')
    this.#forget(this.#frozen)
    await until(() => [postmaster, ...childrenOf(postmaster).map(({ pid }) => pid)].every(isNotStopped))
  }

  /**
   * Halts one backend: its connection hangs, the others do not.
   *
   * @throws {ClusterError} when the process is not a child of this server.
   */
  async freezeBackend(pid: number): Promise<void> {
    this.#assertOwnBackend(pid)
    this.#signal(pid, 'SIGSTOP')
    await until(() => childrenOf(this.#runningPid()).every((child) => child.pid !== pid || child.stopped))
  }

  /**
   * Lets one backend go on.
   *
   * @throws {ClusterError} when the process is not a child of this server.
   */
  async thawBackend(pid: number): Promise<void> {
    this.#assertOwnBackend(pid)
    this.#signal(pid, 'SIGCONT')
    this.#forget([pid])
    await until(() => isNotStopped(pid))
  }

  /**
   * Ends sessions as an administrator would, with 57P01, and says how many. They have been told when this returns;
   * await {@link countSessions} for the moment at which they are gone.
   */
  async terminateBackends(filter: SessionFilter = {}): Promise<number> {
    const { text, values } = terminateSessions(filter)
    const [row] = await this.query<{ count: number }>(text, values)
    return row?.count ?? 0
  }

  /** The sessions of clients, oldest first, without the cluster's own. */
  async sessions(filter: SessionFilter = {}): Promise<Session[]> {
    const { text, values } = listSessions(filter)
    return this.query<Session & pg.QueryResultRow>(text, values)
  }

  /** How many sessions there are, without the cluster's own. */
  async countSessions(filter: SessionFilter = {}): Promise<number> {
    return (await this.sessions(filter)).length
  }

  /**
   * Changes a setting of the running server, and waits until new sessions have it. Those that are open take it over
   * with their next statement; settings such as `max_connections` wait for a {@link restart}.
   *
   * @throws {ClusterError} when the name is none. Postgres' own error when it does not know it or refuses the value.
   */
  async setting(name: string, value: string | number | boolean): Promise<void> {
    await this.#alterSystem(`set ${settingName(name)} = ${pg.escapeLiteral(String(value))}`)
  }

  /** Gives a setting back the value that it had at the start. */
  async resetSetting(name: string): Promise<void> {
    await this.#alterSystem(`reset ${settingName(name)}`)
  }

  /** Asks as the superuser, over a connection of its own that no session list shows, and returns the rows. */
  async query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.withAdmin(async (client) => (await client.query<Row>(text, [...values])).rows)
  }

  /** For several statements in one session of the superuser; it ends with the callback. */
  async withAdmin<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(
      this.config({
        user: ADMIN_USER,
        application_name: ADMIN_APPLICATION_NAME,
        connectionTimeoutMillis: ADMIN_PATIENCE_MILLIS,
        options: withoutTimeouts((await binaries()).version),
      }),
    )
    // The statement that is running when the connection breaks rejects; between two, the next one does.
    client.on('error', () => {})
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }

  /** A second server that follows this one by streaming replication; {@link promote} makes it a primary. */
  async standby(): Promise<Cluster> {
    const standby = new Cluster(this.#options, await freePort(), this.password, this.ca)
    const slot = `standby_${standby.port}`
    try {
      await this.withAdmin(async (client) => {
        await client.query('select pg_create_physical_replication_slot($1, true)', [slot])
        const own = (file: string): void => giveTo(standby.#account, file)
        await baseBackup({ client, from: this.data, to: standby.data, own })
      })
      standby.#writeCa()
      standby.#write('data/standby.signal', '')
      const tls = this.ca === undefined ? '' : ` sslmode=verify-full sslrootcert='${standby.caFile}'`
      standby.#configure({
        primary_conninfo: `host=${this.host} port=${this.port} user=${ADMIN_USER} password=${this.password}${tls}`,
        primary_slot_name: slot,
      })
      await standby.start()
      return standby
    } catch (error) {
      await standby[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Makes a standby a primary, on a new timeline, and waits until it is. */
  async promote(): Promise<void> {
    await this.query('select pg_promote(wait => true, wait_seconds => 30)')
  }

  /** Ends the server and removes every trace of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return
    this.#disposed = true
    if (this.#wasKilled) await this.#cleanUpAfterKill()
    await this.#stop('immediate', DISPOSE_PATIENCE_MILLIS)
    fs.rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 })
    await this.#watchdog[Symbol.asyncDispose]()
  }

  async #launch(): Promise<void> {
    const { postgres } = await binaries()
    this.#postmaster = await launch({
      executable: postgres,
      data: this.data,
      account: this.#account,
      timeoutMillis: this.#options.startTimeoutMillis ?? 30_000,
      onSpawn: (pid) => this.#watchdog.watch(pid),
      log: this.#log,
    })
    this.#wasKilled = false
  }

  /** Orphaned backends and their shared memory survive a SIGKILL of the postmaster; the next start sweeps them up. */
  async #cleanUpAfterKill(): Promise<void> {
    try {
      await this.#launch()
    } catch (error) {
      // Nobody wants this server any more: what counts is that its directory goes.
      if (!(error instanceof ClusterError)) throw error
    }
  }

  async #stop(mode: StopMode, patienceMillis?: number): Promise<void> {
    if (this.#frozen.length > 0) await this.thaw() // A halted process keeps every other signal pending.
    await this.#postmaster?.stop(mode, patienceMillis)
    if (this.#postmaster) this.#wasKilled = mode === 'kill'
    this.#postmaster = undefined
    this.#watchdog.watch(undefined)
  }

  async #create(from: string, certificates: Certificates | undefined): Promise<void> {
    await run('cp', ['-R', from, this.data], { ...this.#account, cwd: this.#directory })
    if (certificates) {
      this.#write('data/server.crt', `${certificates.certificate}\n${certificates.ca}\n`)
      this.#write('data/server.key', certificates.key)
    }
    this.#writeCa()
    this.#configure()
  }

  #configure(extra: Settings = {}): void {
    const tls = this.ca !== undefined
    const settings = {
      ...THROW_AWAY_SETTINGS,
      port: this.port,
      ...(tls ? { ssl: 'on', ssl_min_protocol_version: 'TLSv1.2' } : {}),
      ...(this.#options.unixSocket ? { unix_socket_directories: this.#checkedSocketDirectory() } : {}),
      ...this.#options.settings,
      ...extra,
    }
    this.#write('data/postgresql.conf', settingsFile(settings))
    this.#write('data/pg_hba.conf', hbaFile({ tls, custom: this.#options.hba }))
  }

  #checkedSocketDirectory(): string {
    const socket = path.join(this.socketDirectory, `.s.PGSQL.${this.port}`)
    if (socket.length <= LONGEST_SOCKET_PATH) return this.socketDirectory
    throw new ClusterError('CLUSTER_NOT_SUPPORTED', `The path of the Unix socket would be too long: ${socket}`)
  }

  #writeCa(): void {
    if (this.ca !== undefined) this.#write('ca.crt', this.ca)
  }

  #write(name: string, text: string): void {
    const file = path.join(this.#directory, name)
    fs.writeFileSync(file, text, { mode: 0o600 })
    giveTo(this.#account, file)
  }

  #runningPid(): number {
    if (this.pid !== undefined) return this.pid
    throw new ClusterError('CLUSTER_NOT_RUNNING', 'The server is stopped.')
  }

  #assertOwnBackend(pid: number): void {
    if (childrenOf(this.#runningPid()).some((child) => child.pid === pid)) return
    throw new ClusterError('CLUSTER_FOREIGN_PROCESS', `Process ${pid} is not a backend of this server.`)
  }

  /** Halts or wakes one process. The watchdog learns of a halt beforehand, for we may be killed right after it. */
  #signal(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (signal === 'SIGSTOP') this.#frozen = [...this.#frozen.filter((other) => other !== pid), pid]
    this.#watchdog.watch(this.pid, this.#frozen)
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // It ended meanwhile: nothing to halt.
    }
  }

  #forget(pids: readonly number[]): void {
    this.#frozen = this.#frozen.filter((pid) => !pids.includes(pid))
    this.#watchdog.watch(this.pid, this.#frozen)
  }

  async #alterSystem(change: string): Promise<void> {
    const loadedAt = async (): Promise<string> =>
      (await this.query<{ at: string }>('select pg_conf_load_time()::text as at'))[0]?.at ?? ''
    const before = await loadedAt()
    await this.query(`alter system ${change}`)
    await this.query('select pg_reload_conf()')
    await until(async () => (await loadedAt()) !== before, { what: 'the server to reload its settings' })
  }
}

function settingName(name: string): string {
  if (/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/i.test(name)) return name
  throw new ClusterError('CLUSTER_INVALID_SETTING', `${JSON.stringify(name)} is not the name of a setting.`)
}

function isNotStopped(pid: number): boolean {
  return processTable().every((entry) => entry.pid !== pid || !entry.stopped)
}
