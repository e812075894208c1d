import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import type { Address, Cluster, ClusterConfig } from '../../support/index.ts'
import { freePort, until } from '../../support/index.ts'
import { giveTo, serverAccount } from '../../support/server-account.ts'

/** Ends it when our end of the pipe is closed, be it by a crash. */
const SCRIPT = '"$0" "$1" & pid=$!; cat > /dev/null; kill -KILL $pid; wait'

/** What is set in its pgbouncer.ini, besides its address and its users. */
export type PgBouncerSettings = Readonly<Record<string, string | number>>

/** Where it is installed; undefined if it isn't. */
export function pgBouncerExecutable(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => path.join(folder, 'pgbouncer')).find((file) => fs.existsSync(file))
}

/** Commands of its administrator. */
export interface PgBouncerAdmin extends AsyncDisposable {
  run(command: string): Promise<unknown>
}

/** A PgBouncer in front of a server, on a port of its own, which lets the server's own users in. */
export class PgBouncer implements AsyncDisposable {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly #cluster: Cluster
  readonly #directory: string
  readonly #process: ChildProcess
  readonly #isTls: boolean

  private constructor(cluster: Cluster, port: number, directory: string, child: ChildProcess, isTls: boolean) {
    this.#cluster = cluster
    this.port = port
    this.#directory = directory
    this.#process = child
    this.#isTls = isTls
  }

  /**
   * Starts one, and waits until it accepts connections. Clients use TLS if `client_tls_sslmode` is set, with the server's certificate.
   * `way`: how it gets to the server, if not straight.
   */
  static async start(
    cluster: Cluster,
    settings: PgBouncerSettings = {},
    way: Pick<Address, 'host' | 'port'> = cluster,
  ): Promise<PgBouncer> {
    const executable = pgBouncerExecutable()
    if (executable === undefined) throw new Error('PgBouncer is not installed: apt-get install pgbouncer')
    const account = serverAccount()
    const port = await freePort()
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-pgbouncer-'))
    const write = (name: string, text: string): string => {
      const file = path.join(directory, name)
      fs.writeFileSync(file, text, { mode: 0o600 })
      giveTo(account, file)
      return file
    }
    giveTo(account, directory)
    const { user, password } = cluster.config()
    const users = write('users.txt', `"${user}" "${password}"\n`)
    const lines = Object.entries({
      listen_addr: '127.0.0.1',
      listen_port: port,
      unix_socket_dir: '',
      auth_type: 'scram-sha-256',
      auth_file: users,
      pool_mode: 'transaction',
      ignore_startup_parameters: 'extra_float_digits,options',
      server_tls_sslmode: 'require',
      client_tls_cert_file: path.join(cluster.data, 'server.crt'),
      client_tls_key_file: path.join(cluster.data, 'server.key'),
      admin_users: user,
      ...settings,
    }).map(([name, value]) => `${name} = ${value}`)
    const target = `* = host=${way.host} port=${way.port}`
    const config = write('pgbouncer.ini', `[databases]\n${target}\n[pgbouncer]\n${lines.join('\n')}\n`)
    const child = spawn('/bin/sh', ['-c', SCRIPT, executable, config], {
      ...account,
      cwd: directory,
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    const pgbouncer = new PgBouncer(cluster, port, directory, child, settings.client_tls_sslmode !== undefined)
    await isUp(child)
    return pgbouncer
  }

  /** Where its certificate is. */
  get data(): string {
    return this.#cluster.data
  }

  /** The authority that signed its certificate; undefined without TLS. */
  get ca(): string | undefined {
    return this.#isTls ? this.#cluster.ca : undefined
  }

  /** How a client gets to the server through it. */
  config(): ClusterConfig {
    const { user, password, database, ssl } = this.#cluster.config()
    return { host: this.host, port: this.port, user, password, database, ssl: this.#isTls ? ssl : false } as never
  }

  /** Connects as its administrator. */
  async admin(): Promise<PgBouncerAdmin> {
    const client = new pg.Client({ ...this.config(), database: 'pgbouncer' })
    await client.connect()
    return { run: (command) => client.query(command), [Symbol.asyncDispose]: () => client.end() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.stdin?.end()
    await ended
    fs.rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Waits until its log says that it accepts connections. Asking it would make a client, which counts for `max_client_conn`. */
async function isUp(child: ChildProcess): Promise<void> {
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const ended = once(child, 'exit').then(() => {
    throw new Error(`PgBouncer has ended:\n${log}`)
  })
  await Promise.race([until(() => log.includes('process up'), { what: 'PgBouncer to accept connections' }), ended])
  ended.catch(() => {})
  child.stderr?.removeAllListeners('data').resume()
}
