import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { settles } from '../../../faults/support/settling.ts'
import { until } from '../../../support/index.ts'

/** What the application reports. */
interface Report {
  readonly url?: string
  /** The number of requests that it has received. */
  readonly begun?: number
  readonly isInBackground?: boolean
  /** The counts of requests when its HTTP server was closed. */
  readonly requests?: { readonly begun: number; readonly done: number }
  /** The message of the error of its background job. */
  readonly failure?: string
}

/** Its settings. */
export interface NestSettings {
  readonly url: string
  /** `drain` for the hooks that docs/typeorm.md shows. */
  readonly recipe: 'drain' | 'nothing'
  readonly drainMillis: number
  readonly closeTimeoutMillis: number
}

/** A real NestJS application in a process of its own, and the clients that send it requests. */
export class NestApplication implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #agent = new http.Agent({ keepAlive: true })
  /** Its reports so far. */
  readonly report: Report = {}

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit')
    child.on('message', (report: Report) => Object.assign(this.report, report))
  }

  /** Resolves when it listens. */
  static async start({ url, recipe, drainMillis, closeTimeoutMillis }: NestSettings): Promise<NestApplication> {
    const program = fileURLToPath(new URL('../programs/nest.mjs', import.meta.url))
    const child = fork(program, {
      execArgv: ['--no-warnings'],
      env: {
        ...process.env,
        DATABASE_URL: url,
        RECIPE: recipe,
        DRAIN_MILLIS: `${drainMillis}`,
        CLOSE_TIMEOUT_MILLIS: `${closeTimeoutMillis}`,
      },
    })
    const application = new NestApplication(child)
    await until(() => application.report.url !== undefined, { what: 'the application to listen' })
    return application
  }

  /** The status of a GET, over a keep-alive connection unless `agent` is false; undefined if the server refused it. */
  status(path: string, agent: http.Agent | false = this.#agent): Promise<number | undefined> {
    return new Promise((resolve) => {
      http
        .get(`${this.report.url}/${path}`, { agent }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode))
        })
        .on('error', () => resolve(undefined))
    })
  }

  /** Sends requests from `clients` clients until the server refuses them. Resolves with every status. */
  async load(clients: number): Promise<number[]> {
    const statuses: number[] = []
    const client = async (): Promise<void> => {
      for (let status = await this.status('work'); status !== undefined; status = await this.status('work'))
        statuses.push(status)
    }
    await Promise.all(Array.from({ length: clients }, client))
    return statuses
  }

  /** SIGTERM, once. */
  terminate(): void {
    this.#child.kill('SIGTERM')
  }

  /** Resolves when the process has exited. */
  async isGone(): Promise<void> {
    await settles(this.#exited, 'the process of the application')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy()
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
