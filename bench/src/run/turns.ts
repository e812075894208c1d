import { quantile } from 'simple-statistics'

/** The clock is read once per so many turns: reading it each time would be a large part of the measured time. */
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

  /** How long this share of the recorded turns took at most; NaN if there are none. */
  millisOf(share: number): number {
    return this.#tookMillis.length === 0 ? Number.NaN : quantile(this.#tookMillis, share)
  }
}

/** Takes turns until the slice is over. Each caller has its own loop, so that nothing is between it and its pool. */
export type Caller = (turns: Turns) => Promise<void>

/** The result of a slice. */
export interface Slice {
  readonly turnsPerSecond: number
  /** The CPU time of this process and its threads for each turn, without that of a server. */
  readonly cpuMicrosPerTurn: number
  /** How long this share of the turns took at most; NaN if none was recorded. */
  readonly millisOf: (share: number) => number
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
    millisOf: (share) => turns.millisOf(share),
  }
}
