import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { until } from '../../support/index.ts'
import type { Exit } from './application.ts'
import { settles } from './settling.ts'

/**
 * A small program of `../programs` in a process of its own: it gets its task at its start, and reports the result. It
 * receives no messages, so only its own work keeps it alive.
 */
export class Program implements AsyncDisposable {
  readonly pid: number
  /** Its messages so far. */
  readonly told: unknown[] = []
  readonly #child: ChildProcess
  readonly #exited: Promise<Exit>

  constructor(child: ChildProcess) {
    this.#child = child
    this.pid = child.pid as number
    let stderr = ''
    ;(child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('message', (message) => this.told.push(message))
    // Not `exit`, which may come before the last messages.
    this.#exited = once(child, 'close').then(([code]) => ({ code, stderr }))
  }

  /** Starts it. */
  static start(name: string, task: unknown, env: NodeJS.ProcessEnv = {}): Program {
    const file = fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url))
    const child = fork(file, [JSON.stringify(task)], {
      // Node 22 strips types only with this flag; later versions accept it as well.
      execArgv: ['--experimental-strip-types', '--no-warnings=ExperimentalWarning'],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    return new Program(child)
  }

  /** The first so many messages, as soon as they have arrived. Rejects with the reason if the program ends before. */
  async tells(count: number): Promise<unknown[]> {
    const patience = new AbortController()
    const enough = until(() => this.told.length >= count, { what: `${count} messages`, signal: patience.signal })
    enough.catch(() => {})
    const ended = this.#exited.then(({ code, stderr }) => {
      if (this.told.length < count) throw new Error(`The program ended with code ${code}:\n${stderr}`)
    })
    try {
      await Promise.race([enough, ended])
    } finally {
      patience.abort()
    }
    return this.told
  }

  /** Ends it as a crash of the machine would: without a word. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** How it ends, if it does within reasonable time. */
  ends(): Promise<Exit> {
    return settles(this.#exited, `the process of the program (${this.pid})`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
