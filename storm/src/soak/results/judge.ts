import type { CalmPoint } from '../run/record.ts'
import { MEASURES, type Measure } from './measures.ts'
import { type Trend, trendOf } from './trend.ts'

/** `unclear`: the noise hides the slope, or the points are too few. A longer soak helps. */
export type Verdict = 'flat' | 'grows' | 'unclear'

/** The judgement of one measure. */
export interface Judgement {
  readonly measure: Measure
  readonly verdict: Verdict
  readonly trend: Trend | undefined
}

/**
 * The points to judge: those after the warm-up, in which caches fill and code is compiled. The warm-up is a share of the points
 * and not a time, so that a slow machine warms up as well.
 */
export function afterWarmUp(points: readonly CalmPoint[]): readonly CalmPoint[] {
  return points.slice(Math.ceil(points.length / 3))
}

/** With fewer points after the warm-up, anything can look like a straight line. */
export const FEWEST_POINTS = 8
/** About 19 of 20 measured slopes are within so many standard errors of the true slope. */
const SURE = 2

/** Judges every measure by its slope at the calm points after the warm-up. */
export function judge(points: readonly CalmPoint[]): readonly Judgement[] {
  const judged = afterWarmUp(points)
  return MEASURES.map((measure) => {
    const trend = trendOf(judged.map((point, index) => [measure.progress(point, index), measure.read(point)]))
    return { measure, trend, verdict: judged.length < FEWEST_POINTS ? 'unclear' : verdictOn(trend, measure.limit) }
  })
}

function verdictOn(trend: Trend | undefined, limit: number): Verdict {
  if (!trend) return 'unclear'
  if (trend.slope - SURE * trend.error > limit) return 'grows'
  return trend.slope + SURE * trend.error <= limit ? 'flat' : 'unclear'
}
