import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Exit } from '../../../faults/support/application.ts'
import { settles } from '../../../faults/support/settling.ts'

/** A program of `../programs` in a process of its own. It has no listeners, so an unhandled error ends it. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<Exit>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = Promise.all([once(child, 'exit'), text(child.stderr as Readable)]).then(([[code], stderr]) => ({
      code,
      stderr,
    }))
  }

  /** Starts it with its task. */
  static start(name: string, task: unknown): Program {
    const file = fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url))
    const child = fork(file, [JSON.stringify(task)], {
      // Node 22 strips types only when told to; later ones take the flag as well.
      execArgv: ['--experimental-strip-types', '--no-warnings'],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    return new Program(child)
  }

  /** Sends it the message that it waits for. */
  tell(word: string): void {
    this.#child.send(word)
  }

  /** Resolves with its exit code and what it printed, if it ends within the time of `settles`. */
  ends(): Promise<Exit> {
    return settles(this.#exited, 'the program')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
