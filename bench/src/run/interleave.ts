import type { Contest, Entrant, Sample } from '../contest.ts'
import type { ContestantName } from '../contestants.ts'

/** The measurements of every contestant, round by round: the nth of one belongs to the nth of each other. */
export type Samples = ReadonlyMap<ContestantName, readonly Sample[]>

/** How a contest is run. */
export interface InterleaveOptions {
  /** In all heats together. */
  readonly rounds: number
  /** How often every contestant leaves and enters again; once per round at most. */
  readonly heats: number
  /** Rounds at the beginning of each heat that don't count. */
  readonly warmUps: number
  /** From 0 to below 1, as `Math.random`. */
  readonly random: () => number
  readonly signal: AbortSignal
  /** Called at the end of a round, with its number from 1. */
  readonly onRound?: (round: number) => void
}

/**
 * Measures the contestants in short turns, each once per round in a random order. So other load on the machine affects all of
 * them alike, and no contestant always follows the same one. All enter again for each heat, in a random order too: the memory
 * layout of its connections and sessions makes a pool a little faster or slower for its whole life. Two equal pools differ by
 * a percent or two.
 *
 * @throws The signal's reason when it is aborted; every contestant has left by then.
 */
export async function interleave(contest: Contest, options: InterleaveOptions): Promise<Samples> {
  const { rounds, onRound } = options
  const heats = Math.min(options.heats, rounds)
  const samples = new Map<ContestantName, Sample[]>(contest.contestants.map(({ name }) => [name, []]))
  let round = 0
  for (let heat = 1; heat <= heats; heat++) {
    const last = Math.round((rounds * heat) / heats)
    await runHeat(contest, options, last - round, (sampled) => {
      for (const [name, sample] of sampled) samples.get(name)?.push(sample)
      onRound?.(++round)
    })
  }
  return samples
}

async function runHeat(
  contest: Contest,
  { warmUps, random, signal }: InterleaveOptions,
  rounds: number,
  onRound: (sampled: ReadonlyMap<ContestantName, Sample>) => void,
): Promise<void> {
  const entrants = new Map<ContestantName, Entrant>()
  try {
    for (const { name, enter } of shuffled(contest.contestants, random)) entrants.set(name, await enter())
    for (let round = 1 - warmUps; round <= rounds; round++) {
      const sampled = new Map<ContestantName, Sample>()
      for (const [name, entrant] of shuffled([...entrants], random)) {
        signal.throwIfAborted()
        sampled.set(name, await entrant.measure())
      }
      if (round > 0) onRound(sampled)
    }
  } finally {
    for (const entrant of entrants.values()) await entrant[Symbol.asyncDispose]()
  }
}

/** The same items in a random order (Fisher and Yates). */
export function shuffled<Thing>(things: readonly Thing[], random: () => number): Thing[] {
  const order = [...things]
  for (let last = order.length - 1; last > 0; last--) {
    const chosen = Math.floor(random() * (last + 1))
    const thing = order[chosen] as Thing
    order[chosen] = order[last] as Thing
    order[last] = thing
  }
  return order
}
