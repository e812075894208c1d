import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Operation } from '../../workload/operation.ts'
import { type Sample, SOAK_ANSWERS, type SoakAnswer, type SoakCommand, type SoakMessage } from '../program/messages.ts'
import { SOAK } from '../settings.ts'

/** Is called with the messages of the soaked process. */
export interface SoakedProcessListener {
  ended(operation: Operation): void
  sampled(sample: Sample): void
  warned(warning: string): void
}

/** It died, or does not answer any more. The message is what it wrote last. */
export class SoakedProcessFailed extends Error {}

const MOST_STDERR = 20_000

/** The soaked process, as seen from outside. There is only one: a second one would have nothing left over. */
export class SoakedProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #listener: SoakedProcessListener
  readonly #closed: Promise<unknown>
  readonly #waiting = new Map<SoakMessage['type'], (message: SoakMessage) => void>()
  #stderr = ''
  #hasEnded = false

  constructor(listener: SoakedProcessListener) {
    const program = fileURLToPath(new URL('../program/main.js', import.meta.url))
    this.#listener = listener
    this.#child = fork(program, {
      // V8 would discard unused bytecode at some time, which would hide what grows meanwhile.
      execArgv: ['--expose-gc', '--no-flush-bytecode'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    })
    this.#closed = once(this.#child, 'close').then(() => {
      this.#hasEnded = true
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MOST_STDERR)
    })
    this.#child.on('message', (message) => this.#hear(message as SoakMessage))
    // A command to a dying process fails; the end of the process is reported anyway.
    this.#child.on('error', () => {})
  }

  /** Whether it is gone. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** What it wrote last. */
  get lastWords(): string {
    return this.#stderr.trim()
  }

  /** @throws {SoakedProcessFailed} when it dies over it, or never answers. */
  async ask<Type extends SoakCommand['type']>(
    command: Extract<SoakCommand, { type: Type }>,
  ): Promise<SoakAnswer<Type>> {
    let timer: NodeJS.Timeout | undefined
    const answer = new Promise<SoakMessage>((resolve, reject) => {
      this.#waiting.set(SOAK_ANSWERS[command.type], resolve)
      const fail = (what: string): void => reject(new SoakedProcessFailed(`${what}\n${this.lastWords}`.trim()))
      void this.#closed.then(() => fail(`It died: ${command.type} got no answer.`))
      timer = setTimeout(() => fail(`It does not answer: ${command.type}.`), SOAK.answerMillis)
    })
    if (this.#child.connected) this.#child.send(command)
    try {
      return (await answer) as SoakAnswer<Type>
    } finally {
      clearTimeout(timer)
    }
  }

  /** Whether it ends by itself. */
  async endsWithin(millis: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, millis)
    })
    await Promise.race([this.#closed, patience])
    clearTimeout(timer)
    return this.#hasEnded
  }

  /** Freezes the process. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  /** Lets the process go on. */
  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** Ends it at once, also if it is halted. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded) return
    this.kill()
    await this.#closed
  }

  #hear(message: SoakMessage): void {
    if (message.type === 'ended') return this.#listener.ended(message.operation)
    if (message.type === 'sampled') return this.#listener.sampled(message.sample)
    if (message.type === 'warned') return this.#listener.warned(`${message.name}: ${message.message}`)
    this.#waiting.get(message.type)?.(message)
    this.#waiting.delete(message.type)
  }
}
