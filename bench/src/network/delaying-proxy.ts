import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Address } from '@holdfast/test/support'

/** What the proxy's process is asked for. */
export interface ProxyCommand {
  readonly target: Address
  /** How long everything travels, each way. */
  readonly delayMillis: number
}

/** A slow connection to a server, in a process of its own: forwarding bytes must not take time from the measured process. */
export class DelayingProxy implements AsyncDisposable {
  readonly address: Address
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, address: Address) {
    this.#child = child
    this.address = address
  }

  static async start(command: ProxyCommand): Promise<DelayingProxy> {
    const program = fileURLToPath(new URL('main.js', import.meta.url))
    // Without our own arguments for Node: a profile is meant to be of the bench.
    const child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    child.send(command)
    const ended = once(child, 'exit').then(() => {
      throw new Error('The proxy ended before it was ready.')
    })
    const [address] = await Promise.race([once(child, 'message'), ended])
    return new DelayingProxy(child, address as Address)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.disconnect()
    await exited
  }
}
