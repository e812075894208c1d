import type { ContestantName } from './contestants.ts'

/** What one measurement says, by the names of the contest's metrics. */
export type Sample = Readonly<Record<string, number>>

/** What is measured, and which way is better. */
export interface Metric {
  readonly name: string
  readonly unit: Unit
  readonly better: 'more' | 'less'
}

export type Unit = '/s' | 'ns' | 'µs' | 'ms' | 'bytes' | 'connections'

/** How many times better than a peer Holdfast wants to be. */
export interface Goal {
  readonly metric: string
  readonly peer: ContestantName
  readonly atLeast: number
}

/** A contestant that is ready to be measured, again and again. */
export interface Entrant extends AsyncDisposable {
  measure(): Promise<Sample>
}

/** Who takes part, and how to make it ready. */
export interface Contestant {
  readonly name: ContestantName
  enter(): Promise<Entrant>
}

/** One comparison under the same conditions for all contestants. */
export interface Contest {
  /** The conditions, in a few words. */
  readonly name: string
  readonly metrics: readonly Metric[]
  readonly contestants: readonly Contestant[]
  readonly goals: readonly Goal[]
  /** What is measured hardly varies: a few rounds are enough, and nothing has to be warm. */
  readonly isSteady?: boolean
}

/** What a benchmark's contests stand on, a server for example; gone when disposed of. */
export interface Stage extends AsyncDisposable {
  readonly contests: readonly Contest[]
}

/** A question, and the contests that answer it. */
export interface Benchmark {
  readonly name: string
  /** The question, for `--help`. */
  readonly about: string
  readonly contestants: readonly ContestantName[]
  /** Makes everything ready; a slice is how long one measurement of a throughput lasts, in milliseconds. */
  stage(sliceMillis: number): Promise<Stage>
}

/** A stage for contests that need no server. */
export function emptyStage(contests: readonly Contest[]): Stage {
  return { contests, async [Symbol.asyncDispose]() {} }
}
