import { now } from '../clock.ts'
import { isError, isSuccess, phaseResult } from '../results/phase-result.ts'
import type { PhaseRecord, StackRecord } from '../run/record.ts'
import type { StormListener } from '../run/storm.ts'
import { SETTINGS } from '../settings.ts'
import type { Stack } from '../stacks/stack.ts'

type Lanes = Parameters<StormListener['began']>[0]

const REFRESH_MILLIS = 250

/** Shows how it goes: one line that changes on a terminal, a line per fault and stack elsewhere. */
export class Progress implements StormListener, Disposable {
  readonly #out: NodeJS.WriteStream
  readonly #phases: number
  #lanes: Lanes = []
  #startedAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(out: NodeJS.WriteStream, phases: number) {
    this.#out = out
    this.#phases = phases
    this.#show('starting …')
  }

  began(lanes: Lanes): void {
    this.#lanes = lanes
    this.#startedAt = now()
    if (this.#out.isTTY) this.#timer = setInterval(() => this.#show(this.#status()), REFRESH_MILLIS)
  }

  phaseEnded(stack: Stack, phase: PhaseRecord): void {
    if (this.#out.isTTY) return
    const { succeeded, errors, hangs, crashes } = phaseResult(phase)
    const place = `${String(phase.index + 1).padStart(2)}/${this.#phases} ${phase.fault.title}`
    this.#out.write(
      `${this.#clock()}  ${place.padEnd(32)} ${stack.title.padEnd(20)} ${succeeded} ok, ${errors} errors, ${hangs} hangs, ${crashes} crashes\n`,
    )
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #show(text: string): void {
    if (!this.#out.isTTY) return
    this.#out.write(`\r\u001b[K${text.slice(0, (this.#out.columns ?? 80) - 1)}`)
  }

  #status(): string {
    const phase = this.#lanes[0]?.current
    if (!phase) return 'starting …'
    const stacks = this.#lanes.map(({ record }) => `${record.stack.name}: ${counts(record)}`)
    return `${this.#clock()}  ${phase.index + 1}/${this.#phases} ${phase.fault.title} · ${stacks.join(' · ')}`
  }

  #clock(): string {
    const seconds = (millis: number): string => String(Math.round(millis / 1000)).padStart(3)
    return `${seconds(now() - this.#startedAt)} s of ${seconds(this.#phases * SETTINGS.phaseMillis)} s`
  }
}

function counts({ phases }: StackRecord): string {
  const operations = phases.flatMap((phase) => phase.operations)
  const crashes = phases.reduce((sum, phase) => sum + phase.crashes.length, 0)
  const errors = operations.filter(isError).length
  return `${operations.filter(isSuccess).length} ok, ${errors} errors, ${crashes} crashes`
}
