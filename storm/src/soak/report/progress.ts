import { now } from '../../clock.ts'
import type { Fault } from '../../faults/fault.ts'
import type { CalmPoint, SoakRecord } from '../run/record.ts'
import type { SoakListener } from '../run/soak.ts'
import { megabytes } from './table.ts'

/** Shows how it goes: one line that changes on a terminal, a line per fault elsewhere. */
export class SoakProgress implements SoakListener, Disposable {
  readonly #out: NodeJS.WriteStream
  #record: SoakRecord | undefined
  #last = ''

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
    this.#show('starting …')
  }

  began(record: SoakRecord): void {
    this.#record = record
  }

  struck(fault: Fault): void {
    this.#show(`${this.#clock()}  ${fault.title}${this.#last}`)
  }

  calm({ fault, sample: { objects, operations, opened } }: CalmPoint): void {
    this.#last = `  ${megabytes(objects)} of objects after ${operations} operations and ${opened} connections`
    if (!this.#out.isTTY) this.#out.write(`${this.#clock()}  ${fault.title.padEnd(24)}${this.#last}\n`)
  }

  [Symbol.dispose](): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #show(text: string): void {
    // A line that wraps can't be replaced.
    if (this.#out.isTTY) this.#out.write(`\r\u001b[K${text.slice(0, (this.#out.columns || 80) - 1)}`)
  }

  #clock(): string {
    const { startedAt = 0, minutes = 0 } = this.#record ?? {}
    return `${String(Math.round((now() - startedAt) / 1000)).padStart(4)} s of ${Math.round(minutes * 60)} s`
  }
}
