import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { PoolOptions } from '@holdfast/core'
import type pg from 'pg'
import type { Answer, Order, ReportedError, Start } from '../programs/application.ts'
import { settles } from './settling.ts'

/** How a program ended. */
export interface Exit {
  readonly code: number | null
  readonly stderr: string
}

/**
 * A program in a process of its own, which uses a pool as requested and has no listener for errors by default. It
 * can be seen crashing, and ending by itself.
 */
export class Application implements AsyncDisposable {
  readonly pid: number
  /** Resolves when the process has ended. */
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #answers = new Map<number, (answer: Answer) => void>()
  #lastOrder = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    this.pid = child.pid as number
    let stderr = ''
    const errors = (child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('message', (answer: Answer) => this.#answers.get(answer.order)?.(answer))
    // Not `close`: it never comes when the parent was the one to disconnect.
    this.exited = Promise.all([once(child, 'exit'), once(errors, 'close')]).then(([[code]]) => ({ code, stderr }))
  }

  /** Starts the program, with a pool that isn't connected. */
  static async start(library: Start['library'], options: PoolOptions & pg.PoolConfig): Promise<Application> {
    const program = fileURLToPath(new URL('../programs/application.ts', import.meta.url))
    const start: Start = { library, options: options as Start['options'] }
    const child = fork(program, [JSON.stringify(start)], {
      // Node 22 strips types only with this flag; later versions accept it as well.
      execArgv: ['--experimental-strip-types', '--no-warnings'],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    const application = new Application(child)
    await application.#tell({ act: 'greet' })
    return application
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Gives the program's pool a listener for `error`, as the documentation of pg advises. */
  async listen(): Promise<void> {
    await this.#tell({ act: 'listen' })
  }

  /** `pool.query`. */
  async query(text: string): Promise<Record<string, unknown>[]> {
    return (await this.#tell({ act: 'query', text })) as Record<string, unknown>[]
  }

  /** `pool.connect`, into a variable. */
  async connect(client = 'client'): Promise<void> {
    await this.#tell({ act: 'connect', client })
  }

  /** `client.query`. */
  async clientQuery(text: string, client = 'client'): Promise<Record<string, unknown>[]> {
    return (await this.#tell({ act: 'client.query', client, text })) as Record<string, unknown>[]
  }

  /** `client.release`. */
  async release(client = 'client'): Promise<void> {
    await this.#tell({ act: 'release', client })
  }

  /** `pool.end`. */
  async end(): Promise<void> {
    await this.#tell({ act: 'end' })
  }

  /** `pool.drain`. */
  async drain(millis: number): Promise<boolean> {
    return (await this.#tell({ act: 'drain', millis })) as boolean
  }

  /** Counts of the pool. */
  async counts(): Promise<{ total: number; idle: number; waiting: number }> {
    return (await this.#tell({ act: 'counts' })) as { total: number; idle: number; waiting: number }
  }

  /**
   * Has the program run statements, all at once, when it finds that it was frozen: the very first thing it does, before
   * it reads what came in meanwhile. Resolves when the program is ready to be frozen.
   */
  async prepareForThaw(statements: readonly string[]): Promise<void> {
    await this.#tell({ act: 'prepare for thaw', statements })
  }

  /** The rows of those statements, or their errors. */
  async resultsOfThaw(): Promise<unknown[]> {
    return (await this.#tell({ act: 'results of thaw' })) as unknown[]
  }

  /** SIGSTOP: the process is frozen. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  /** SIGCONT: the process goes on. */
  thaw(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** Gives no more orders, so that nothing but its pool can keep the process alive. */
  leave(): void {
    this.#child.disconnect()
  }

  /** How the program ends, if it does within reasonable time. */
  ends(): Promise<Exit> {
    return settles(this.exited, `the process of the program (${this.pid})`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exited
  }

  async #tell(order: Omit<Order, 'order'>): Promise<unknown> {
    const number = ++this.#lastOrder
    const answered = new Promise<Answer>((resolve) => this.#answers.set(number, resolve))
    const died = this.exited.then(({ code, stderr }): never => {
      throw new Error(`The program ended with code ${code}:\n${stderr}`)
    })
    died.catch(() => {})
    this.#child.send({ ...order, order: number } as Order)
    const answer = await settles(Promise.race([answered, died]), `the program's answer to '${order.act}'`)
    this.#answers.delete(number)
    if (answer.error) throw asError(answer.error)
    return answer.value
  }
}

function asError({ message, cause, ...facts }: ReportedError): Error {
  return Object.assign(new Error(message, cause ? { cause: asError(cause) } : {}), facts)
}
