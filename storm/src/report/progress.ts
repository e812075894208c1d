import { now } from '../clock.ts'
import { counted } from '../counted.ts'
import { isError, isSuccess, phaseResult } from '../results/phase-result.ts'
import type { PhaseRecord, StackRecord } from '../run/record.ts'
import type { Plan, StormListener, Wave } from '../run/storm.ts'
import { wavesOf } from '../run/waves.ts'
import { SETTINGS } from '../settings.ts'
import type { Stack } from '../stacks/stack.ts'

const REFRESH_MILLIS = 500
/** An estimate: how long the servers and services of a wave take to start. */
const START_MILLIS = 5000

/** Shows the progress: on a terminal a line per stack that changes, elsewhere a line per fault and stack. */
export class Progress implements StormListener, Disposable {
  readonly #out: NodeJS.WriteStream
  readonly #faults: number
  readonly #waves: number
  readonly #startedAt = now()
  #wave: Wave | undefined
  #lines = 0
  #timer: NodeJS.Timeout | undefined

  constructor(out: NodeJS.WriteStream, { stacks, faults }: Pick<Plan, 'stacks' | 'faults'>) {
    this.#out = out
    this.#faults = faults.length
    this.#waves = wavesOf(stacks, SETTINGS.stacksAtOnce).length
    out.write(
      `The storm: ${counted(stacks.length, 'stack', 'stacks')}, each through ${counted(faults.length, 'fault', 'faults')}, ` +
        `${this.#estimate()}. First a PostgreSQL starts for each stack.\n`,
    )
  }

  began(wave: Wave): void {
    this.#wave = wave
    if (this.#out.isTTY) this.#timer ??= setInterval(() => this.#show(this.#status()), REFRESH_MILLIS)
  }

  phaseEnded(stack: Stack, phase: PhaseRecord): void {
    if (this.#out.isTTY) return
    const { succeeded, errors, hangs, crashes } = phaseResult(phase)
    const place = `${String(phase.index + 1).padStart(2)}/${this.#faults} ${phase.fault.title}`
    const numbers = [`${succeeded} ok`, counted(errors, 'error', 'errors')]
    if (hangs > 0) numbers.push(counted(hangs, 'hang', 'hangs'))
    if (crashes > 0) numbers.push(counted(crashes, 'crash', 'crashes'))
    this.#out.write(`${this.#clock()}  ${place.padEnd(29)} ${stack.title.padEnd(19)} ${numbers.join(', ')}\n`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#show([])
  }

  /** Replaces what was shown before. */
  #show(lines: readonly string[]): void {
    if (!this.#out.isTTY) return
    // A line that wraps or has left the screen can't be replaced.
    const width = (this.#out.columns || 80) - 1
    const shown = lines.slice(0, Math.max(1, (this.#out.rows || 24) - 1))
    const back = this.#lines > 0 ? `\u001b[${this.#lines}A` : ''
    this.#out.write(`${back}\r\u001b[J${shown.map((line) => `${line.slice(0, width)}\n`).join('')}`)
    this.#lines = shown.length
  }

  #status(): readonly string[] {
    const { number, runs } = this.#wave ?? { number: 0, runs: [] }
    const phase = runs[0]?.current
    if (!phase) return [`${this.#clock()}  starting …`]
    const wave = this.#waves > 1 ? `, wave ${number} of ${this.#waves}` : ''
    const place = `${this.#clock()}  ${phase.index + 1}/${this.#faults} ${phase.fault.title}${wave}`
    return [
      place,
      ...runs.map(({ record, current }) => `  ${record.stack.title.padEnd(20)} ${counts(record)}${stage(current)}`),
    ]
  }

  #clock(): string {
    const seconds = (millis: number): string => String(Math.round(millis / 1000)).padStart(3)
    return `${seconds(now() - this.#startedAt)} s of about ${seconds(this.#millis())} s`
  }

  #estimate(): string {
    const seconds = Math.ceil(this.#millis() / 1000)
    return seconds < 90 ? `about ${seconds} s` : `about ${Math.ceil(seconds / 60)} minutes`
  }

  /** How long all of it takes, about. */
  #millis(): number {
    return this.#waves * (START_MILLIS + this.#faults * SETTINGS.phaseMillis)
  }
}

function counts({ phases }: StackRecord): string {
  const sum = (read: (phase: PhaseRecord) => number): number => phases.reduce((total, phase) => total + read(phase), 0)
  const succeeded = sum(({ operations }) => operations.filter(isSuccess).length)
  const crashes = sum((phase) => phase.crashes.length)
  // As in the table, an operation that dies with its process is an error too.
  const errors = sum((phase) => {
    const died = phase.crashes.reduce((total, { pending }) => total + pending.length, 0)
    return phase.operations.filter(isError).length + died
  })
  const failures = [
    counted(errors, 'error ', 'errors').padStart(12),
    counted(crashes, 'crash  ', 'crashes').padStart(11),
  ]
  return `${String(succeeded).padStart(6)} ok ${failures.join(' ')}`
}

/** What the run is doing. */
function stage(phase: PhaseRecord | undefined): string {
  if (!phase || phase.startedAt === 0) return ''
  if (phase.endedAt > 0) return '  done, waits for the others'
  if (phase.struckFrom === 0) return '  calm'
  return phase.struckUntil === 0 ? '  the fault lasts' : '  after the fault'
}
