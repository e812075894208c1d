/** A straight line through points, and how sure its slope is. */
export interface Trend {
  /** By how much y rises when x rises by one. */
  readonly slope: number
  /** The standard error of the slope. */
  readonly error: number
}

/** By least squares. With fewer than three points, or none of them beside another, nothing can be said. */
export function trendOf(points: readonly (readonly [x: number, y: number])[]): Trend | undefined {
  const count = points.length
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  if (count < 3 || spread === 0) return undefined
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread
  const missed = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  return { slope, error: Math.sqrt(missed / (count - 2) / spread) }
}
