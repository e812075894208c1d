import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterError } from './errors.ts'
import { isAlive } from './process-table.ts'
import type { ServerAccount } from './server-account.ts'

/**
 * How a server is stopped. `smart` waits for all sessions to end; `fast` ends them with 57P01 and shuts down properly;
 * `immediate` is a crash of the whole server, with recovery at the next start; `kill` is SIGKILL, which the sessions
 * survive for a moment, as they do when the kernel runs out of memory.
 */
export type StopMode = 'smart' | 'fast' | 'immediate' | 'kill'

const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const

const LOG_LINES_KEPT = 5_000

/** What {@link launch} needs to know. */
export interface LaunchOptions {
  readonly executable: string
  readonly data: string
  readonly account: ServerAccount
  readonly timeoutMillis: number
  /** Told the process id as soon as there is one, long before the server is ready. */
  readonly onSpawn: (pid: number) => void
  /** Told what the server logs. */
  readonly log: ServerLog
}

/** The last lines that a server logged, over all its starts. */
export class ServerLog {
  readonly #chunks: string[] = []

  /** The text so far, without the oldest part if it got too long. */
  get text(): string {
    return this.#chunks.join('')
  }

  /** Records the output of the server. */
  append(text: string): void {
    this.#chunks.push(text)
    if (this.#chunks.length > LOG_LINES_KEPT) this.#chunks.shift()
  }
}

/** One running server: the process that all its backends are children of. */
export class Postmaster {
  readonly pid: number
  readonly #process: ChildProcess
  readonly #exited: Promise<unknown>

  constructor(child: ChildProcess & { readonly pid: number }) {
    this.pid = child.pid
    this.#process = child
    this.#exited = once(child, 'exit')
  }

  /** False once the process has ended, for whatever reason. */
  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Asks it to stop, and waits until it has; a server that takes longer than `patienceMillis` is killed. */
  async stop(mode: StopMode, patienceMillis: number = Number.POSITIVE_INFINITY): Promise<void> {
    if (!this.isRunning) return
    this.#process.ref() // Somebody awaits this.
    this.#process.kill(SIGNALS[mode])
    const impatience = Number.isFinite(patienceMillis)
      ? setTimeout(() => this.#process.kill('SIGKILL'), patienceMillis)
      : undefined
    await this.#exited
    clearTimeout(impatience)
  }
}

/**
 * Starts a server and waits until it accepts connections.
 *
 * @throws {ClusterError} when it does not; the message ends with what it logged.
 */
export async function launch(options: LaunchOptions): Promise<Postmaster> {
  const deadline = performance.now() + options.timeoutMillis
  for (;;) {
    const logged = options.log.text.length
    try {
      return await launchOnce(options, deadline)
    } catch (error) {
      // After a SIGKILL of the postmaster, its children need a moment to notice and to let go of the shared memory.
      const remains = /pre-existing shared memory block|lock file "postmaster.pid" already exists/
      if (!remains.test(options.log.text.slice(logged)) || performance.now() > deadline) throw error
      await sleep(50)
    }
  }
}

async function launchOnce(options: LaunchOptions, deadline: number): Promise<Postmaster> {
  const { executable, data, account, log, onSpawn } = options
  // Its own process group: Ctrl-C is for us. We, or the watchdog, stop the server.
  const child = spawn(executable, ['-D', data], {
    ...account,
    cwd: data,
    detached: true,
    env: { LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await once(child, 'spawn')
  const postmaster = new Postmaster(child as typeof child & { pid: number })
  onSpawn(postmaster.pid)
  child.stderr.setEncoding('utf8').on('data', (text: string) => log.append(text))
  while (!isReady(data, postmaster.pid)) {
    if (!postmaster.isRunning) throw failedToStart('did not start', log)
    if (performance.now() > deadline) {
      await postmaster.stop('immediate', 5_000)
      throw failedToStart(`was not ready within ${options.timeoutMillis} ms`, log)
    }
    await sleep(10)
  }
  // From here on, an idle server keeps no process alive.
  child.unref()
  if ('unref' in child.stderr) (child.stderr as unknown as { unref(): void }).unref()
  return postmaster
}

/** The server itself writes its state into the eighth line of its lock file; pg_ctl reads it there, too. */
function isReady(data: string, pid: number): boolean {
  const lockFile = path.join(data, 'postmaster.pid')
  if (!isAlive(pid) || !fs.existsSync(lockFile)) return false
  try {
    const lines = fs.readFileSync(lockFile, 'utf8').split('\n')
    return Number(lines[0]) === pid && ['ready', 'standby'].includes(lines[7]?.trim() ?? '')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false // A failing server removes it.
    throw error
  }
}

function failedToStart(what: string, log: ServerLog): ClusterError {
  return new ClusterError('CLUSTER_START_FAILED', `Postgres ${what}. Its log ends with:\n${log.text.slice(-4_000)}`)
}
