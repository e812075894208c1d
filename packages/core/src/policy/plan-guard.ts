/** So many runs are compared at a time. */
const RUNS = 20
/** Of as many runs, the slowest are left out: they may have waited for a lock, or for a blocked event loop. */
const OUTLIERS = 2
/** How many times as slow, and by how many milliseconds, a statement must be under its name to count as slower. */
const TIMES = 3
const MILLIS = 5
/** So many comparisons in a row must say so: a few slow runs may have gone with the name by chance. */
const COMPARISONS = 3
/** A statement that was found innocent is compared again after twice as many runs as before, up to this many times as many. */
const LONGEST_PAUSE = 64

/** What a comparison has shown: mean times in milliseconds. */
export interface Comparison {
  readonly namedMillis: number
  readonly unnamedMillis: number
}

/**
 * Finds out whether a statement became slower by its name: the server may then plan it once for all values, which is bad for
 * some. What it took before is only a hint, since load and data change. If it seems slower than then, the next runs go with
 * and without the name in turn, so that both meet the same conditions, and these are compared.
 */
export class PlanGuard {
  #before = 0
  #beforeRuns = 0
  #sum = 0
  #runs = 0
  #pause = 1
  #with: number[] | undefined
  #without: number[] = []
  #slower = 0

  /** Whether the next run is to go without a name, to be compared. */
  get wantsUnnamed(): boolean {
    if (!this.#with) return false
    const [named, unnamed] = [this.#with.length, this.#without.length]
    if (named >= RUNS || unnamed >= RUNS) return named >= RUNS
    // Not every other one: programs may alternate, too.
    const place = (named + unnamed) % 4
    return place === 1 || place === 2
  }

  /** Takes note of a run. Returns a comparison once it has shown that the statement is slower under its name. */
  took(millis: number, isNamed: boolean): Comparison | undefined {
    if (this.#with) return this.#compare(this.#with, millis, isNamed)
    if (isNamed) this.#addNamed(millis)
    else if (this.#beforeRuns < RUNS) {
      this.#before += (millis - this.#before) / ++this.#beforeRuns
    }
    return undefined
  }

  #addNamed(millis: number): void {
    this.#sum += millis
    if (++this.#runs < RUNS * this.#pause) return
    if (isSlower(this.#sum / this.#runs, this.#before)) this.#with = []
    this.#sum = 0
    this.#runs = 0
  }

  #compare(named: number[], millis: number, isNamed: boolean): Comparison | undefined {
    const runs = isNamed ? named : this.#without
    if (runs.length < RUNS) runs.push(millis)
    if (named.length < RUNS || this.#without.length < RUNS) return undefined
    const comparison = { namedMillis: meanOf(named), unnamedMillis: meanOf(this.#without) }
    this.#without = []
    if (isSlower(comparison.namedMillis, comparison.unnamedMillis)) {
      this.#with = []
      return ++this.#slower < COMPARISONS ? undefined : comparison
    }
    this.#with = undefined
    this.#slower = 0
    this.#before = comparison.unnamedMillis
    this.#beforeRuns = RUNS
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE)
    return undefined
  }
}

function isSlower(named: number, unnamed: number): boolean {
  return named > TIMES * unnamed && named - unnamed > MILLIS
}

function meanOf(runs: readonly number[]): number {
  const usual = runs.toSorted((one, other) => one - other).slice(0, runs.length - OUTLIERS)
  return usual.reduce((sum, millis) => sum + millis, 0) / usual.length
}
