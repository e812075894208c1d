import { SETTINGS } from '../../settings.ts'
import { judge } from '../results/judge.ts'
import { violationsOf } from '../results/violations.ts'
import type { SoakRecord } from '../run/record.ts'
import { SOAK } from '../settings.ts'

/** Everything that was seen, second by second, for a program to read. */
export function renderSoakJson(record: SoakRecord): string {
  const { seed, minutes, server, startedAt, endedAt, seconds, calmPoints, errors, warnings, end } = record
  const report = {
    seed,
    minutes,
    server,
    node: process.version,
    startedAt: new Date(startedAt).toISOString(),
    millis: Math.round(endedAt - startedAt),
    settings: { storm: SETTINGS, soak: SOAK },
    judgements: judge(calmPoints).map(({ measure: { name, per, unit, limit }, verdict, trend }) => ({
      name,
      per,
      unit,
      limit,
      verdict,
      ...trend,
    })),
    violations: violationsOf(record),
    errors: Object.fromEntries(errors),
    warnings: [...warnings],
    end: end ?? null,
    calmPoints: calmPoints.map(({ fault, ...point }) => ({ fault: fault.name, ...point })),
    seconds,
  }
  return `${JSON.stringify(report, null, 2)}\n`
}
