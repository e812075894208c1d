import type { ContestantName } from './contestants.ts'

/** The values of one measurement, by the names of the contest's metrics. */
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

/** A participant, and how it gets ready. */
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
  /** Whether the measured value hardly varies, so that a few rounds are enough and no warm-up is needed. */
  readonly isSteady?: boolean
}

/** What a benchmark's contests need, a server for example. Disposing of it removes it. */
export interface Stage extends AsyncDisposable {
  readonly contests: readonly Contest[]
}

/** A question, and the contests that answer it. */
export interface Benchmark {
  readonly name: string
  /** The question, for `--help`. */
  readonly about: string
  readonly contestants: readonly ContestantName[]
  /** Prepares everything. A slice is the duration of one measurement of a throughput, in milliseconds. */
  stage(sliceMillis: number): Promise<Stage>
}

/** The stage of contests that need no server. */
export function emptyStage(contests: readonly Contest[]): Stage {
  return { contests, async [Symbol.asyncDispose]() {} }
}
