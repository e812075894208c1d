import type { Contest, Goal, Metric, Sample } from '../contest.ts'
import { type ContestantName, OURS } from '../contestants.ts'
import type { Samples } from '../run/interleave.ts'
import { type Spread, spreadOf } from './spread.ts'

/** One metric of a contest: what was measured for each contestant, and how Holdfast compares. */
export interface MetricResult {
  readonly benchmark: string
  readonly contest: string
  readonly metric: Metric
  readonly values: readonly Value[]
  /** Empty if Holdfast didn't take part. */
  readonly ratios: readonly Ratio[]
}

/** What a contestant measured. */
export interface Value {
  readonly contestant: ContestantName
  readonly spread: Spread
  readonly samples: readonly number[]
}

/** How many times better than a peer Holdfast is: 2 is twice the throughput, or half the cost. */
export interface Ratio {
  readonly peer: ContestantName
  readonly spread: Spread
  readonly goal: JudgedGoal | undefined
}

/** What Holdfast wants to reach, and whether it did. */
export interface JudgedGoal {
  readonly atLeast: number
  readonly isMet: boolean
}

/** The decimals of a shown ratio. A difference that they hide neither meets nor misses a goal. */
export const RATIO_DECIMALS = 2

/** Makes results of measurements, metric by metric. */
export function contestResults(benchmark: string, contest: Contest, samples: Samples): MetricResult[] {
  return contest.metrics.map((metric) => {
    const values = contest.contestants.map(({ name }) => measuredBy(name, metric, samples.get(name) ?? []))
    const ours = values.find(({ contestant }) => contestant === OURS)
    const peers = values.filter(({ contestant }) => contestant !== OURS)
    const ratios = ours ? peers.map((peer) => ratioOf(ours, peer, metric, contest.goals)) : []
    return { benchmark, contest: contest.name, metric, values, ratios }
  })
}

/** Whether a goal was missed anywhere. */
export function missesGoal({ ratios }: MetricResult): boolean {
  return ratios.some(({ goal }) => goal?.isMet === false)
}

/**
 * Round by round, since the two were measured right after each other: the ratio of the medians would compare Holdfast
 * in a quiet moment with a peer in a busy one.
 */
export function ratiosPerRound(ours: readonly number[], peers: readonly number[], better: Metric['better']): number[] {
  return ours.map((our, round) => {
    const their = peers[round] ?? Number.NaN
    return better === 'more' ? our / their : their / our
  })
}

function measuredBy(contestant: ContestantName, metric: Metric, measured: readonly Sample[]): Value {
  const samples = measured.map((sample) => sample[metric.name] ?? Number.NaN)
  return { contestant, spread: spreadOf(samples), samples }
}

function ratioOf(ours: Value, peer: Value, metric: Metric, goals: readonly Goal[]): Ratio {
  const spread = spreadOf(ratiosPerRound(ours.samples, peer.samples, metric.better))
  const goal = goals.find((candidate) => candidate.metric === metric.name && candidate.peer === peer.contestant)
  return { peer: peer.contestant, spread, goal: goal && judge(goal.atLeast, spread.median) }
}

function judge(atLeast: number, median: number): JudgedGoal {
  return { atLeast, isMet: Number(median.toFixed(RATIO_DECIMALS)) >= atLeast }
}
