/** How much time a run takes for its measurements. */
export interface Pace {
  /** In all heats together. */
  readonly rounds: number
  /** How often every contestant leaves and enters again. */
  readonly heats: number
  /** Rounds at the beginning of each heat that don't count. */
  readonly warmUps: number
  /** How long one measurement of a throughput lasts. */
  readonly sliceMillis: number
}

/** Long enough to believe a difference of some percent on a busy machine. */
export const USUAL: Pace = { rounds: 30, heats: 6, warmUps: 2, sliceMillis: 250 }

/** For a curve: its shape counts more than each of its points. */
export const SCALING: Pace = { rounds: 12, heats: 3, warmUps: 1, sliceMillis: 250 }

/** How many rounds are enough for what hardly varies. */
export const STEADY_ROUNDS = 3

/** Only to see whether it works. */
export const QUICK: Pace = { rounds: 5, heats: 1, warmUps: 1, sliceMillis: 100 }
