import type { Benchmark, Contest } from '../contest.ts'
import type { ContestantName } from '../contestants.ts'
import { contestResults, type MetricResult } from '../results/contest-result.ts'
import { interleave } from './interleave.ts'
import { type Pace, STEADY_ROUNDS } from './pace.ts'

/** What is run, and how. */
export interface BenchOptions {
  readonly benchmarks: readonly Benchmark[]
  readonly contestant: ContestantName | undefined
  readonly pace: Pace
}

/** Is called with the progress. */
export interface BenchListener {
  began(contest: string): void
  round(contest: string, round: number, rounds: number): void
}

/** Runs the benchmarks one after the other. @throws The signal's reason, when all is cleaned up. */
export async function runBench(
  { benchmarks, contestant, pace }: BenchOptions,
  listener: BenchListener,
  signal: AbortSignal,
): Promise<MetricResult[]> {
  const results: MetricResult[] = []
  for (const { name, contestants, stage } of benchmarks) {
    if (contestant && !contestants.includes(contestant)) continue
    signal.throwIfAborted()
    await using built = await stage(pace.sliceMillis)
    for (const all of built.contests) {
      const contest = contestant ? onlyWith(contestant, all) : all
      const title = `${name}: ${contest.name}`
      const { rounds, heats, warmUps } = contest.isSteady ? steady(pace) : pace
      listener.began(title)
      const onRound = (round: number): void => listener.round(title, round, rounds)
      const samples = await interleave(contest, { rounds, heats, warmUps, random: Math.random, signal, onRound })
      results.push(...contestResults(name, contest, samples))
    }
  }
  return results
}

function steady({ rounds }: Pace): Pick<Pace, 'rounds' | 'heats' | 'warmUps'> {
  return { rounds: Math.min(rounds, STEADY_ROUNDS), heats: 1, warmUps: 0 }
}

function onlyWith(contestant: ContestantName, contest: Contest): Contest {
  return { ...contest, contestants: contest.contestants.filter(({ name }) => name === contestant) }
}
