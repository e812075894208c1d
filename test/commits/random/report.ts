import type { Report } from './run.ts'

/** A report in a few lines. */
export function renderReport(report: Report): string {
  const { seed, acknowledged, failed, unknown, unknownAndPresent, faults, millis, wrong } = report
  const { acknowledgedAndMissing, failedAndPresent, doubled, moneyMissing, unbalanced } = wrong
  return [
    `Seed ${seed}: ${acknowledged} acknowledged, ${total(failed)} failed, ${total(unknown)} unknown (${unknownAndPresent} of them written), ${total(faults)} faults, ${Math.round(millis / 1000)} s.`,
    `  acknowledged and missing ${acknowledgedAndMissing.length}, failed and present ${failedAndPresent.length}, doubled ${doubled.length}, money missing ${moneyMissing}, accounts unbalanced ${unbalanced.length}`,
    `  faults: ${rendered(faults)}`,
    ...[...failed].map(([reason, count]) => `  failed ${count}: ${reason}`),
    ...[...unknown].map(([reason, count]) => `  unknown ${count}: ${reason}`),
  ].join('\n')
}

function rendered(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ')
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}
