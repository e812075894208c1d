import { quantile } from 'simple-statistics'

/** Where the middle half of some numbers lies. */
export interface Spread {
  readonly lowerQuartile: number
  readonly median: number
  readonly upperQuartile: number
}

/** The quartiles: unlike a mean, they don't care how far off a round was in which the machine did something else. */
export function spreadOf(numbers: readonly number[]): Spread {
  const [lowerQuartile = Number.NaN, median = Number.NaN, upperQuartile = Number.NaN] = quantile(
    [...numbers],
    [0.25, 0.5, 0.75],
  )
  return { lowerQuartile, median, upperQuartile }
}
