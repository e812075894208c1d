import { styleText } from 'node:util'
import { counted } from '../../counted.ts'
import { afterWarmUp, FEWEST_POINTS, type Judgement, judge, type Verdict } from '../results/judge.ts'
import { violationsOf } from '../results/violations.ts'
import type { SoakRecord } from '../run/record.ts'

const COLOURS = { flat: 'green', unclear: 'yellow', grows: 'red' } as const satisfies Record<Verdict, string>

/** A line for each judgement, and a last one for the whole soak. */
export function renderVerdicts(record: SoakRecord): string {
  const judgements = judge(record.calmPoints)
  const { length: all } = record.calmPoints
  return [
    `Judged by the calm points after the warm-up, ${afterWarmUp(record.calmPoints).length} of ${all}:`,
    ...judgements.map(line),
    '',
    ...violationsOf(record).map((wrong) => styleText('red', `wrong: ${wrong}`)),
    conclusion(record, judgements),
  ].join('\n')
}

/** Whether the soak failed. What is unclear is no failure: it is no proof either. */
export function hasFailed(record: SoakRecord): boolean {
  return violationsOf(record).length > 0 || judge(record.calmPoints).some(({ verdict }) => verdict === 'grows')
}

function line({ measure, verdict, trend }: Judgement): string {
  const { name, per, unit, limit, reason } = measure
  const slope = trend ? `${number(trend.slope)} ± ${`${number(2 * trend.error)} ${unit}`.trimEnd()}` : 'too few points'
  const about = `${name} per ${per}`.padEnd(42)
  return `  ${styleText(COLOURS[verdict], verdict.padEnd(7))}  ${about} ${slope}, ${styleText('dim', `limit ${limit}: ${reason}`)}`
}

function conclusion(record: SoakRecord, judgements: readonly Judgement[]): string {
  const growing = judgements.filter(({ verdict }) => verdict === 'grows').length
  const unclear = judgements.filter(({ verdict }) => verdict === 'unclear').length
  const wrong = violationsOf(record).length
  if (growing + wrong > 0) return styleText(['red', 'bold'], `Holdfast did not hold: ${growing} grew, ${wrong} wrong.`)
  if (!record.end) return 'Nothing has grown, and nothing was wrong, so far.'
  if (unclear > 0) return styleText('yellow', `Nothing was wrong; ${unclear} unclear: ${whyUnclear(record)}.`)
  return styleText('bold', 'Everything is flat, and nothing was wrong.')
}

function whyUnclear({ calmPoints, minutes }: SoakRecord): string {
  const { length } = afterWarmUp(calmPoints)
  if (length >= FEWEST_POINTS) return 'the noise is greater than what is looked for, so let it soak for longer'
  return (
    `${minutes} min gave ${counted(length, 'point', 'points')} after the warm-up, and fewer than ${FEWEST_POINTS} ` +
    'say nothing, so let it soak for 2 minutes or more'
  )
}

function number(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 1 ? 1 : 3)
}
