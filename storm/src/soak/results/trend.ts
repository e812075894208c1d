import { linearRegression, linearRegressionLine, sum, sumNthPowerDeviations } from 'simple-statistics'

/** A straight line through points, and how sure its slope is. */
export interface Trend {
  /** By how much y rises when x rises by one. */
  readonly slope: number
  /** The standard error of the slope. */
  readonly error: number
}

/** Fits a line by least squares; undefined if there are fewer than three points, or if all have the same x. */
export function trendOf(points: readonly (readonly [x: number, y: number])[]): Trend | undefined {
  if (points.length < 3) return undefined
  const spread = sumNthPowerDeviations(
    points.map(([x]) => x),
    2,
  )
  if (spread === 0) return undefined
  const line = linearRegression(points.map(([x, y]) => [x, y]))
  const at = linearRegressionLine(line)
  const squaredErrors = sum(points.map(([x, y]) => (y - at(x)) ** 2))
  return { slope: line.m, error: Math.sqrt(squaredErrors / (points.length - 2) / spread) }
}
