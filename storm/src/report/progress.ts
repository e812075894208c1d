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
    this.#out.write(`\r\u001b[K${text.slice(0, this.#width())}`)
  }

  #status(): string {
    const phase = this.#lanes[0]?.current
    if (!phase) return 'starting …'
    const position = `${phase.index + 1}/${this.#phases}`
    const place = `${this.#clock()}  ${position}`
    const stacks = this.#lanes.map(({ record }) => `${record.stack.name}: ${counts(record)}`).join(' · ')
    const errors = this.#lanes.map(({ record }) => `${record.stack.name} ${brief(record)}`).join(', ')
    const versions = [
      `${place} ${phase.fault.title} · ${stacks}`,
      `${place} ${phase.fault.title} · errors: ${errors}`,
      `${place} · errors: ${errors}`,
      `${position} · errors: ${errors}`,
    ]
    // A line that wraps could not be replaced, and a number that is cut off would be wrong.
    return versions.find((text) => text.length <= this.#width()) ?? place
  }

  #width(): number {
    return (this.#out.columns || 80) - 1
  }

  #clock(): string {
    const seconds = (millis: number): string => String(Math.round(millis / 1000)).padStart(3)
    return `${seconds(now() - this.#startedAt)} s of ${seconds(this.#phases * SETTINGS.phaseMillis)} s`
  }
}

function counts(record: StackRecord): string {
  const { phases } = record
  const succeeded = phases.flatMap(({ operations }) => operations.filter(isSuccess)).length
  return `${succeeded} ok, ${errorsOf(record)} errors, ${crashesOf(record).length} crashes`
}

function brief(record: StackRecord): string {
  const crashes = crashesOf(record)
  return crashes.length === 0
    ? `${errorsOf(record)}`
    : `${errorsOf(record)} (${crashes.length} ${crashes.length === 1 ? 'crash' : 'crashes'})`
}

/** As in the table: whatever dies with its process is an error too. */
function errorsOf(record: StackRecord): number {
  const seen = record.phases.flatMap(({ operations }) => operations.filter(isError)).length
  return crashesOf(record).reduce((sum, { pending }) => sum + pending.length, seen)
}

function crashesOf({ phases }: StackRecord): PhaseRecord['crashes'] {
  return phases.flatMap(({ crashes }) => crashes)
}
