import { quantile } from 'simple-statistics'

/** The range of the middle half of some numbers. */
export interface Spread {
  readonly lowerQuartile: number
  readonly median: number
  readonly upperQuartile: number
}

/** The quartiles. Unlike a mean, they aren't affected by a few rounds in which the machine was busy. */
export function spreadOf(numbers: readonly number[]): Spread {
  const [lowerQuartile = Number.NaN, median = Number.NaN, upperQuartile = Number.NaN] = quantile(
    [...numbers],
    [0.25, 0.5, 0.75],
  )
  return { lowerQuartile, median, upperQuartile }
}
