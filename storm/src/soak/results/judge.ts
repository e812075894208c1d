import type { CalmPoint } from '../run/record.ts'
import { MEASURES, type Measure } from './measures.ts'
import { type Trend, trendOf } from './trend.ts'

/** `unclear`: the noise is greater than what is looked for, or the points are too few. A longer soak can tell. */
export type Verdict = 'flat' | 'grows' | 'unclear'

/** What is said of one measure. */
export interface Judgement {
  readonly measure: Measure
  readonly verdict: Verdict
  readonly trend: Trend | undefined
}

/**
 * Of all points, the ones to be judged: caches fill, code is compiled, and that ends. A share of them and not a time, so
 * that a slow machine warms up as well.
 */
export function afterWarmUp(points: readonly CalmPoint[]): readonly CalmPoint[] {
  return points.slice(Math.ceil(points.length / 3))
}

/** With fewer points after the warm-up anything can look like a line. */
export const FEWEST_POINTS = 8
/** About 19 of 20 slopes measured are within so many standard errors of the true one. */
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
