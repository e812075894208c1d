/** The clock is read once per so many turns: reading it each time would be a good part of what is measured. */
const TURNS_PER_LOOK = 32

/** What callers ask before each turn, all of them the same one: whether the slice is over. Counts the turns. */
export class Turns {
  readonly #endsAt: number
  #count = 0
  #isOver = false

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
}

/** Takes turns as long as there are any. The loop is the caller's own, so that nothing comes between it and its pool. */
export type Caller = (turns: Turns) => Promise<void>

/** Turns per second that so many callers take together, for about `sliceMillis`. */
export async function turnsPerSecond(caller: Caller, callers: number, sliceMillis: number): Promise<number> {
  const from = performance.now()
  const turns = new Turns(from + sliceMillis)
  await Promise.all(Array.from({ length: callers }, () => caller(turns)))
  return (turns.count * 1000) / (performance.now() - from)
}
