import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { settles } from '../../faults/support/settling.ts'
import { until } from '../../support/index.ts'

/** How a service ended. */
export interface Exit {
  readonly code: number | null
  readonly stderr: string
}

/** What a service answered. */
export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** How a service is started. */
export interface ServiceOptions {
  /** Without it, the service finds its server by itself. */
  readonly databaseUrl?: string
  readonly args?: readonly string[]
  /** A module that is loaded before the service, and may replace the service's imports. */
  readonly preload?: URL
}

/** A request to a service. */
export interface Asked {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** The header Idempotency-Key. */
  readonly key?: string
  readonly body?: unknown
  /** Whether it has a connection of its own, which node:cluster gives to the next worker. */
  readonly isAlone?: boolean
  /** It rejects with a `TimeoutError` after so many milliseconds without an answer. */
  readonly timeoutMillis?: number
}

/** A service of `examples/` in a process of its own, started as its README says. */
export class Service implements AsyncDisposable {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #exited: Promise<Exit>
  #stdout = ''
  #stderr = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    this.pid = child.pid as number
    ;(child.stdout as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
    })
    ;(child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    this.#exited = once(child, 'close').then(([code]) => ({ code, stderr: this.#stderr }))
  }

  /** Starts it, and waits until it listens. */
  static async start(file: string, { databaseUrl, args = [], preload }: ServiceOptions): Promise<Service> {
    const program = fileURLToPath(new URL(`../../../examples/${file}`, import.meta.url))
    // Node 22 strips types only when told to; later ones take the flag as well.
    const flags = ['--experimental-strip-types', '--no-warnings=ExperimentalWarning']
    const first = preload ? ['--import', preload.href] : []
    const child = spawn(process.execPath, [...flags, ...first, program, ...args], {
      env: { ...process.env, ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }), PORT: '0' },
      stdio: 'pipe',
    })
    const service = new Service(child)
    await until(() => service.address || !service.isRunning, { what: `${file} to listen` })
    if (service.address) return service
    throw new Error(`${file} ended with code ${child.exitCode}:\n${service.#stderr}`)
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Its output so far. */
  get stdout(): string {
    return this.#stdout
  }

  /** The URL in its output. */
  get address(): string | undefined {
    return /http:\/\/[\w.:[\]]+/.exec(this.#stdout)?.[0]
  }

  /** The failures that it has logged so far. Fastify logs them as JSON with their level. */
  get complaints(): string[] {
    const logged = this.#stdout.split('\n').filter((line) => /"level":[56]0/.test(line))
    return [...logged, ...(this.#stderr === '' ? [] : [this.#stderr])]
  }

  /** Sends one request, once. Rejects if it gets no answer. */
  async ask({ method, path, key, body, isAlone, timeoutMillis }: Asked): Promise<Answer> {
    const headers = {
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(isAlone && { connection: 'close' }),
    }
    const request = {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(timeoutMillis !== undefined && { signal: AbortSignal.timeout(timeoutMillis) }),
    }
    const answered = fetch(`${this.address}${path}`, request).then(async (response) => ({
      status: response.status,
      body: (await response.json()) as unknown,
    }))
    return settles(answered, `the answer to ${method} ${path}`)
  }

  /** Types into its terminal. */
  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  /** Sends a signal to its process. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Resolves with its exit code and stderr, if it exits within the time of `settles`. */
  ends(): Promise<Exit> {
    return settles(this.#exited, `the process of the service (${this.pid})`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
