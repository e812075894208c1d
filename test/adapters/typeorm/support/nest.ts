import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { settles } from '../../../faults/support/settling.ts'
import { until } from '../../../support/index.ts'

/** What the application tells of itself. */
interface Told {
  readonly url?: string
  /** How many requests have reached it. */
  readonly begun?: number
  readonly isInBackground?: boolean
  /** Of the requests, when its HTTP server was closed. */
  readonly requests?: { readonly begun: number; readonly done: number }
  /** What the work in the background failed of. */
  readonly failure?: string
}

/** How it is set up. */
export interface NestSettings {
  readonly url: string
  /** `drain` as docs/typeorm.md shows it, or nothing at all. */
  readonly recipe: 'drain' | 'nothing'
  readonly drainMillis: number
  readonly closeTimeoutMillis: number
}

/** A real NestJS application in a process of its own, and those who send it requests. */
export class NestApplication implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #agent = new http.Agent({ keepAlive: true })
  /** What it has told so far. */
  readonly told: Told = {}

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit')
    child.on('message', (told: Told) => Object.assign(this.told, told))
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
    await until(() => application.told.url !== undefined, { what: 'the application to listen' })
    return application
  }

  /** The status of a GET; undefined if the server didn't take the request. Over a connection that is kept, or a new one. */
  status(path: string, agent: http.Agent | false = this.#agent): Promise<number | undefined> {
    return new Promise((resolve) => {
      http
        .get(`${this.told.url}/${path}`, { agent }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode))
        })
        .on('error', () => resolve(undefined))
    })
  }

  /** Sends request after request from so many clients, until the server takes no more; resolves with every status. */
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

  /** Resolves when the process is gone. */
  async isGone(): Promise<void> {
    await settles(this.#exited, 'the process of the application')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy()
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
