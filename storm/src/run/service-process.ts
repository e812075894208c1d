import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { now } from '../clock.ts'
import { ANSWERS, type Answer, type Command, type Message } from '../service/messages.ts'
import { SETTINGS } from '../settings.ts'
import type { StackSetup } from '../stacks/stack.ts'
import type { Pending } from '../workload/journal.ts'
import type { Operation } from '../workload/operation.ts'

/** A service's process that ended without having been asked to. */
export interface Crash {
  readonly at: number
  /** What it wrote last: usually the uncaught error. */
  readonly lastWords: string
  /** The operations that died with it, without an outcome. */
  readonly pending: readonly Pending[]
}

/** Is called with the messages of a service's process. */
export interface ServiceListener {
  operations(operations: readonly Operation[]): void
  overdue(pending: Pending): void
  crashed(crash: Crash): void
}

/** What a service's process needs to start. */
export interface ServiceSetup {
  readonly stack: string
  readonly setup: StackSetup
  readonly seed: number
  readonly listener: ServiceListener
}

/** The task of the service. A new process goes on with it where the old one died. */
interface Duty {
  phase: number | undefined
  dirty: boolean
}

const MOST_STARTS_WITHOUT_SUCCESS = 3
/** TypeORM connects at its start, so during a fault its process may die and be started again. */
const STARTS_PATIENCE_MILLIS = 10_000
const CLOSE_PATIENCE_MILLIS = 8000
const MOST_STDERR = 20_000

/**
 * A service in a process of its own. When it crashes, it is started again at once (any supervisor would take longer),
 * and the crash is counted.
 */
export class ServiceProcess implements AsyncDisposable {
  readonly #setup: ServiceSetup
  readonly #duty: Duty = { phase: undefined, dirty: false }
  #child: ChildProcess | undefined
  #opened: Promise<void> = Promise.resolve()
  #stderr = ''
  #lastPending: readonly Pending[] = []
  #waiting = new Map<Message['type'], (message: Message | undefined) => void>()
  #incarnation = 0
  #failedStarts = 0
  #failingSince: number | undefined
  #isExpectedToEnd = false
  #failed: Error | undefined

  private constructor(setup: ServiceSetup) {
    this.#setup = setup
  }

  /** Starts the process and waits until its pool is made. */
  static async start(setup: ServiceSetup): Promise<ServiceProcess> {
    const service = new ServiceProcess(setup)
    service.#launch()
    await service.ready()
    return service
  }

  /** How many processes were started so far. */
  get incarnation(): number {
    return this.#incarnation
  }

  /** Resolves when a process is running and has its task. */
  async ready(): Promise<void> {
    let seen: number
    do {
      seen = this.#incarnation
      await this.#opened
      if (this.#failed) throw this.#failed
    } while (seen !== this.#incarnation)
  }

  /** Starts its callers, in this phase. */
  async resume(phase: number): Promise<void> {
    this.#duty.phase = phase
    await this.#ask({ type: 'start', phase })
  }

  /** Stops its callers. Returns the operations that still run after the given time. */
  async pause(withinMillis: number): Promise<readonly Pending[]> {
    this.#duty.phase = undefined
    return (await this.#ask({ type: 'pause', withinMillis }))?.pending ?? []
  }

  /** How many connections it can have in use at one time. */
  async probe(): Promise<number> {
    const command = { type: 'probe', count: SETTINGS.poolMax, withinMillis: SETTINGS.probeMillis } as const
    return (await this.#ask(command))?.answered ?? 0
  }

  /** Blocks its event loop, and resolves when that is over. */
  async block(millis: number): Promise<void> {
    await this.#ask({ type: 'block', millis })
  }

  /** Sets whether some callers forget their COMMIT. */
  async dirty(on: boolean): Promise<void> {
    this.#duty.dirty = on
    await this.#ask({ type: 'dirty', on })
  }

  /** Freezes the process. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  /** Lets the process go on. */
  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Kills the process and starts another, as an operator does with a stuck process. */
  async replace(): Promise<void> {
    await this.#kill()
    this.#launch()
    await this.ready()
  }

  /** Has it close its pool. Returns how long it took to end by itself; undefined if it didn't. */
  async close(): Promise<number | undefined> {
    await this.ready()
    const child = this.#child
    if (!child) return undefined
    this.#isExpectedToEnd = true
    const from = now()
    const exited = once(child, 'exit', { signal: AbortSignal.timeout(CLOSE_PATIENCE_MILLIS) })
    this.#send({ type: 'close' })
    try {
      await exited
      return now() - from
    } catch (error) {
      if (error instanceof Error && error.name === 'AbortError') return undefined
      throw error
    } finally {
      await this.#kill()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kill()
  }

  #launch(): void {
    const program = fileURLToPath(new URL('../service/main.js', import.meta.url))
    const child = fork(program, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], serialization: 'advanced' })
    this.#child = child
    this.#incarnation++
    this.#isExpectedToEnd = false
    this.#stderr = ''
    this.#lastPending = []
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MOST_STDERR)
    })
    child.on('message', (message) => this.#hear(message as Message))
    // A command to a dying process fails; the exit of the process is reported anyway.
    child.on('error', () => {})
    child.once('close', () => this.#ended(child))
    const { stack, setup, seed } = this.#setup
    const incarnation = this.#incarnation
    this.#opened = this.#answerTo('open').then((answer) => {
      if (!answer) return
      this.#failedStarts = 0
      this.#failingSince = undefined
      if (this.#duty.dirty) this.#send({ type: 'dirty', on: true })
      if (this.#duty.phase !== undefined) this.#send({ type: 'start', phase: this.#duty.phase })
    })
    this.#send({ type: 'open', stack, setup, seed: seed + incarnation, incarnation })
  }

  /** Undefined if the process crashed meanwhile. By then the next process has taken over the task. */
  async #ask<Type extends Command['type']>(
    command: Extract<Command, { type: Type }>,
  ): Promise<Answer<Type> | undefined> {
    await this.ready()
    const answer = this.#answerTo(command.type)
    this.#send(command)
    const message = await answer
    if (!message) await this.ready()
    return message as Answer<Type> | undefined
  }

  #answerTo(type: Command['type']): Promise<Message | undefined> {
    return new Promise((resolve) => this.#waiting.set(ANSWERS[type], resolve))
  }

  #send(command: Command): void {
    if (this.#child?.connected) this.#child.send(command)
  }

  #hear(message: Message): void {
    const { listener } = this.#setup
    if (message.type === 'operations') return listener.operations(message.operations)
    if (message.type === 'overdue') return listener.overdue(message.pending)
    if (message.type === 'ended') {
      this.#lastPending = message.pending
      return
    }
    this.#waiting.get(message.type)?.(message)
    this.#waiting.delete(message.type)
  }

  #ended(child: ChildProcess): void {
    if (child !== this.#child) return
    this.#child = undefined
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    if (!this.#isExpectedToEnd) {
      this.#setup.listener.crashed({ at: now(), lastWords: this.#stderr.trim(), pending: this.#lastPending })
      this.#failingSince ??= now()
      const isHopeless = now() - this.#failingSince > STARTS_PATIENCE_MILLIS
      if (++this.#failedStarts > MOST_STARTS_WITHOUT_SUCCESS && isHopeless)
        this.#failed = new Error(`The service of ${this.#setup.stack} does not start:\n${this.#stderr}`)
      else this.#launch()
    }
    for (const resolve of waiting) resolve(undefined)
  }

  async #kill(): Promise<void> {
    this.#isExpectedToEnd = true
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill('SIGKILL') // Ends a halted process too.
    await closed
  }
}
