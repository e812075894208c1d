import type { Contest, Entrant, Sample } from '../contest.ts'
import type { ContestantName } from '../contestants.ts'

/** What everybody's measurements were, round by round: the nth of one belongs to the nth of each other. */
export type Samples = ReadonlyMap<ContestantName, readonly Sample[]>

/** How a contest is run. */
export interface InterleaveOptions {
  readonly rounds: number
  readonly warmUps: number
  /** From 0 to below 1, as `Math.random`. */
  readonly random: () => number
  readonly signal: AbortSignal
  /** Told when a round is over, with its number from 1. */
  readonly onRound?: (round: number) => void
}

/**
 * Measures the contestants in short turns: each once per round, in an order that chance decides. What else goes on at
 * the machine then hits all of them alike, and nobody always comes after the same other one.
 *
 * @throws The signal's reason, when it is aborted; everybody has left by then.
 */
export async function interleave(contest: Contest, options: InterleaveOptions): Promise<Samples> {
  const { rounds, warmUps, random, signal, onRound } = options
  const entrants = new Map<ContestantName, Entrant>()
  const samples = new Map<ContestantName, Sample[]>()
  try {
    for (const { name, enter } of contest.contestants) {
      entrants.set(name, await enter())
      samples.set(name, [])
    }
    for (let round = 1 - warmUps; round <= rounds; round++) {
      for (const [name, entrant] of shuffled([...entrants], random)) {
        signal.throwIfAborted()
        const sample = await entrant.measure()
        if (round > 0) samples.get(name)?.push(sample)
      }
      if (round > 0) onRound?.(round)
    }
  } finally {
    for (const entrant of entrants.values()) await entrant[Symbol.asyncDispose]()
  }
  return samples
}

/** The same things in an order that chance decides (Fisher and Yates). */
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
