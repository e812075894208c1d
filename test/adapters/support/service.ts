import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { PoolOptions } from '@holdfast/core'
import type { Exit } from '../../faults/support/application.ts'
import { settles } from '../../faults/support/settling.ts'
import type { Answer, Order, Start } from '../programs/service.ts'
import type { Row, Subject } from '../subject.ts'

/** A program in a process of its own that uses a subject. It has no listeners, so an unhandled error ends it. */
export class Service implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<Exit>
  readonly #answers = new Map<number, (answer: Answer) => void>()
  #lastOrder = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    let stderr = ''
    const errors = (child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('message', (answer: Answer) => this.#answers.get(answer.order)?.(answer))
    // Not `close`, which never comes when the parent disconnects first.
    this.#exited = Promise.all([once(child, 'exit'), once(errors, 'close')]).then(([[code]]) => ({ code, stderr }))
  }

  /** Starts the program, and opens the subject in it. */
  static async start({ module }: Subject, options: PoolOptions): Promise<Service> {
    const program = fileURLToPath(new URL('../programs/service.ts', import.meta.url))
    const child = fork(program, [JSON.stringify({ module, options } satisfies Start)], {
      // Node 22 strips types only when told to; later ones take the flag as well.
      execArgv: ['--experimental-strip-types', '--no-warnings'],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    const service = new Service(child)
    await service.#tell({ act: 'open' })
    return service
  }

  /** Runs a plain statement. Resolves with its rows. */
  async run(sql: string): Promise<readonly Row[]> {
    return (await this.#tell({ act: 'run', sql })) as readonly Row[]
  }

  /** Begins a transaction, and resolves when its callback runs. */
  async hold(): Promise<void> {
    await this.#tell({ act: 'hold' })
  }

  /** Makes that callback run a statement. Resolves with the rows when the transaction has ended. */
  async goOn(sql: string): Promise<readonly Row[]> {
    return (await this.#tell({ act: 'go on', sql })) as readonly Row[]
  }

  /** Opens `count` connections, and resolves when all are idle. */
  async warmUp(count: number): Promise<void> {
    await this.#tell({ act: 'warm up', count })
  }

  /** Makes it run these statements, all at once, when it notices that it was frozen. */
  async prepareForThaw(statements: readonly string[]): Promise<void> {
    await this.#tell({ act: 'prepare for thaw', statements })
  }

  /** Resolves with the rows of those statements. */
  async resultsOfThaw(): Promise<unknown> {
    return this.#tell({ act: 'results of thaw' })
  }

  /** Its connections, those of them that are idle, and its waiters. */
  async counts(): Promise<readonly [total: number, idle: number, waiting: number]> {
    return (await this.#tell({ act: 'counts' })) as [number, number, number]
  }

  /** SIGSTOP. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  /** SIGCONT. */
  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** Closes the subject, and resolves with the program's exit code and its stderr. */
  async end(): Promise<Exit> {
    await this.#tell({ act: 'close' })
    this.#child.disconnect()
    return settles(this.#exited, 'the process of the service')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  async #tell(order: Omit<Order, 'order'>): Promise<unknown> {
    const number = ++this.#lastOrder
    const answered = new Promise<Answer>((resolve) => this.#answers.set(number, resolve))
    const died = this.#exited.then(({ code, stderr }): never => {
      throw new Error(`The service ended with code ${code}:\n${stderr}`)
    })
    died.catch(() => {})
    this.#child.send({ ...order, order: number } satisfies Order)
    const { value, causes } = await settles(Promise.race([answered, died]), `the service's answer to '${order.act}'`)
    this.#answers.delete(number)
    if (causes) throw causes.reduceRight((cause, facts) => Object.assign(new Error('', { cause }), facts), {})
    return value
  }
}
