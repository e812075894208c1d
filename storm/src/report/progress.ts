import { now } from '../clock.ts'
import { counted } from '../counted.ts'
import { type PhaseResult, phaseResult } from '../results/phase-result.ts'
import type { PhaseRecord } from '../run/record.ts'
import { type Plan, paceOf, type StormListener, type Wave } from '../run/storm.ts'
import { wavesOf } from '../run/waves.ts'
import { SETTINGS } from '../settings.ts'
import type { Stack } from '../stacks/stack.ts'

const REFRESH_MILLIS = 500
/** An estimate: how long the servers and services of a wave take to start. */
const START_MILLIS = 5000
const BAR_WIDTH = 20
const TITLE_WIDTH = 26
const STOCK_WIDTH = 34

type Ended = readonly { readonly stack: Stack; readonly result: PhaseResult }[]

/** Shows the progress: a line for each fault that is over, and on a terminal a bar below. */
export class Progress implements StormListener, Disposable {
  readonly #out: NodeJS.WriteStream
  readonly #plan: Pick<Plan, 'stacks' | 'faults' | 'isShort'>
  readonly #waves: number
  readonly #startedAt = now()
  #wave: Wave | undefined
  #ended: Ended = []
  #timer: NodeJS.Timeout | undefined

  constructor(out: NodeJS.WriteStream, plan: Pick<Plan, 'stacks' | 'faults' | 'isShort'>) {
    this.#out = out
    this.#plan = plan
    this.#waves = wavesOf(plan.stacks, SETTINGS.stacksAtOnce).length
    out.write(announcement(plan, this.#millis()))
    if (out.isTTY) this.#timer = setInterval(() => this.#showBar(), REFRESH_MILLIS)
  }

  began(wave: Wave): void {
    this.#wave = wave
  }

  phaseEnded(stack: Stack, phase: PhaseRecord): void {
    this.#ended = [...this.#ended, { stack, result: phaseResult(phase) }]
    if (this.#ended.length < (this.#wave?.runs.length ?? 0)) return
    const place = `${this.#place(phase)} ${phase.fault.title}`
    this.#hideBar()
    this.#out.write(`${place.padEnd(TITLE_WIDTH + 6)} ${summary(this.#ended)}\n`)
    this.#ended = []
    this.#showBar()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#hideBar()
  }

  /** Which of all faults: those of the second wave come after those of the first. */
  #place({ index }: PhaseRecord): string {
    const faults = this.#plan.faults.length
    const number = ((this.#wave?.number ?? 1) - 1) * faults + index + 1
    return `${String(number).padStart(3)}/${this.#waves * faults}`
  }

  #showBar(): void {
    if (!this.#out.isTTY) return
    const share = Math.min(0.99, (now() - this.#startedAt) / this.#millis())
    const full = Math.round(share * BAR_WIDTH)
    const bar = `[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}]`
    const phase = this.#wave?.runs[0]?.current
    const what = phase ? `${phase.fault.title}: ${stage(phase)}` : 'the servers start'
    // A line that wraps can't be replaced.
    const width = (this.#out.columns || 80) - 1
    this.#out.write(`\r\u001b[K${`${bar} ${this.#clock()}, ${what}`.slice(0, width)}`)
  }

  #hideBar(): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #clock(): string {
    const seconds = (millis: number): number => Math.round(millis / 1000)
    return `${seconds(now() - this.#startedAt)} of ${seconds(this.#millis())} s`
  }

  /** How long all of it takes, about. */
  #millis(): number {
    return this.#waves * (START_MILLIS + this.#plan.faults.length * paceOf(this.#plan).aboutMillis)
  }
}

/** What will happen, and how long it takes. */
export function announcement(
  { stacks, faults, isShort }: Pick<Plan, 'stacks' | 'faults' | 'isShort'>,
  millis: number,
): string {
  const seconds = Math.ceil(millis / 1000)
  const duration = seconds <= 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`
  const titles = stacks.map(({ title }) => title)
  const listed = titles.length > 1 ? `${titles.slice(0, -1).join(', ')} and ${titles.at(-1)}` : titles.join()
  const more = isShort ? 'Every fault and every stack, in five minutes: npm start -- --all\n' : ''
  return (
    `The storm breaks PostgreSQL in ${counted(faults.length, 'way', 'ways')} under one small service, written for ` +
    `${counted(stacks.length, 'stack', 'stacks')}. It takes about ${duration}.\n${listed}.\n${more}\n`
  )
}

/** What one fault did to the stacks without Holdfast, and to those with it. */
function summary(ended: Ended): string {
  const part = (isJudged: boolean): readonly PhaseResult[] =>
    ended.filter(({ stack }) => stack.isJudged === isJudged).map(({ result }) => result)
  const stock = part(false)
  const ours = part(true)
  const texts = [
    stock.length > 0 ? `stock: ${damage(stock)}`.padEnd(ours.length > 0 ? STOCK_WIDTH : 0) : '',
    ours.length > 0 ? `Holdfast: ${damage(ours)}` : '',
  ]
  return texts.filter((text) => text !== '').join(' ')
}

function damage(results: readonly PhaseResult[]): string {
  const sum = (read: (result: PhaseResult) => number): number =>
    results.reduce((total, result) => total + read(result), 0)
  const wrong = ({ lost, doubled, uncommitted, denied, misreported }: PhaseResult): number =>
    lost + doubled + uncommitted + denied + misreported
  const counts: readonly (readonly [count: number, one: string, many: string])[] = [
    [sum(({ errors }) => errors), 'error', 'errors'],
    [sum(({ hangs }) => hangs), 'hang', 'hangs'],
    [sum(({ crashes }) => crashes), 'crash', 'crashes'],
    [sum(wrong), 'wrong write', 'wrong writes'],
  ]
  const found = counts.filter(([count]) => count > 0).map(([count, one, many]) => counted(count, one, many))
  return found.length > 0 ? found.join(', ') : 'nothing'
}

/** What the run is doing. */
function stage(phase: PhaseRecord): string {
  if (phase.struckFrom === 0) return 'calm'
  return phase.struckUntil === 0 ? 'the fault lasts' : 'after the fault'
}
