import { quantile } from 'simple-statistics'

/** The clock is read once per so many turns: reading it each time would be a good part of what is measured. */
const TURNS_PER_LOOK = 32

/** What callers ask before each turn, all of them the same one: whether the slice is over. Counts the turns. */
export class Turns {
  readonly #endsAt: number
  #count = 0
  #isOver = false
  readonly #tookMillis: number[] = []

  constructor(endsAt: number) {
    this.#endsAt = endsAt
  }

  get count(): number {
    return this.#count
  }

  /** Whether there is another turn. */
  next(): boolean {
    if (this.#count % TURNS_PER_LOOK === 0 && performance.now() >= this.#endsAt) this.#isOver = true
    if (this.#isOver) return false
    this.#count++
    return true
  }

  /** Records how long a turn took. This reads the clock. */
  took(millis: number): void {
    this.#tookMillis.push(millis)
  }

  /** What half of the turns took at most, of those that were noted; NaN if none was. */
  get medianMillis(): number {
    return this.#tookMillis.length === 0 ? Number.NaN : quantile(this.#tookMillis, 0.5)
  }
}

/** Takes turns as long as there are any. The loop is the caller's own, so that nothing comes between it and its pool. */
export type Caller = (turns: Turns) => Promise<void>

/** What a slice has shown. */
export interface Slice {
  readonly turnsPerSecond: number
  /** What this process, with its threads, has worked for each turn; what a server worked isn't in it. */
  readonly cpuMicrosPerTurn: number
  /** The median duration of the turns; NaN if none was recorded. */
  readonly medianMillis: number
}

/** Lets so many callers take turns together, for about `sliceMillis`. */
export async function slice(caller: Caller, callers: number, sliceMillis: number): Promise<Slice> {
  const cpuFrom = process.cpuUsage()
  const from = performance.now()
  const turns = new Turns(from + sliceMillis)
  await Promise.all(Array.from({ length: callers }, () => caller(turns)))
  const tookMillis = performance.now() - from
  const cpu = process.cpuUsage(cpuFrom)
  return {
    turnsPerSecond: (turns.count * 1000) / tookMillis,
    cpuMicrosPerTurn: (cpu.user + cpu.system) / turns.count,
    medianMillis: turns.medianMillis,
  }
}
