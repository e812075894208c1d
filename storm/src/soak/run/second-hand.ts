import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../../clock.ts'
import type { Ground } from '../../ground/ground.ts'
import type { Sample } from '../program/messages.ts'
import { SOAK } from '../settings.ts'
import type { Second } from './record.ts'

/** Records every second what is open, as seen from inside and from outside the process. */
export class SecondHand implements AsyncDisposable {
  readonly #ground: Ground
  readonly #seconds: Second[]
  readonly #stopped = new AbortController()
  readonly #loop: Promise<void>
  #sample: Sample | undefined

  constructor(ground: Ground, seconds: Second[]) {
    this.#ground = ground
    this.#seconds = seconds
    this.#loop = this.#run()
  }

  /** Takes the latest sample that the process sent. */
  take(sample: Sample): void {
    this.#sample = sample
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const sessions = await this.#sessions()
      this.#seconds.push({ at: now(), sample: this.#sample, sockets: this.#ground.proxy.connections, sessions })
      // A frozen process sends no sample for this second.
      this.#sample = undefined
      await sleep(SOAK.sampleMillis, undefined, { signal }).catch(() => {}) // Stopped.
    }
  }

  async #sessions(): Promise<number | undefined> {
    try {
      return (await this.#ground.sessions()).length
    } catch {
      return undefined // The server is restarting.
    }
  }
}
