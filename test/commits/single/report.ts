import type { SingleReport } from './run.ts'

/** A report in a few lines. */
export function renderSingleReport(title: string, report: SingleReport): string {
  const { count, written, rolledBack, unknown, unknownAndPresent, strikes, millis, wrong } = report
  const { writtenAndMissing, rolledBackAndPresent, doubled } = wrong
  const share = ((100 * total(unknown)) / count).toFixed(2)
  return [
    `${title}: ${count} writes, ${written} told written, ${total(rolledBack)} told rolled back, ${total(unknown)} unknown (${share} %, ${unknownAndPresent} of them written), ${strikes} strikes, ${Math.round(millis / 1000)} s.`,
    `  told written and missing ${writtenAndMissing.length}, told rolled back and present ${rolledBackAndPresent.length}, doubled ${doubled.length}`,
    ...[...rolledBack].map(([reason, times]) => `  rolled back ${times}: ${reason}`),
    ...[...unknown].map(([reason, times]) => `  unknown ${times}: ${reason}`),
  ].join('\n')
}

/** All reports in two lines. */
export function renderSum(reports: readonly SingleReport[]): string {
  const sum = (read: (report: SingleReport) => number): number => reports.reduce((all, report) => all + read(report), 0)
  const count = sum((report) => report.count)
  const unknown = sum((report) => total(report.unknown))
  return [
    `All: ${count} writes, ${sum(({ written }) => written)} told written, ${sum((report) => total(report.rolledBack))} told rolled back, ${unknown} unknown (${((100 * unknown) / count).toFixed(2)} %), ${sum(({ strikes }) => strikes)} strikes, ${Math.round(sum(({ millis }) => millis) / 1000)} s.`,
    `  told written and missing ${sum(({ wrong }) => wrong.writtenAndMissing.length)}, told rolled back and present ${sum(({ wrong }) => wrong.rolledBackAndPresent.length)}, doubled ${sum(({ wrong }) => wrong.doubled.length)}`,
  ].join('\n')
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}
