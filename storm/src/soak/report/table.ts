import Table from 'cli-table3'
import { handlesOf } from '../results/measures.ts'
import type { CalmPoint, SoakRecord } from '../run/record.ts'

const MOST_ROWS = 16

/** The calm points; of many, some at even distances. */
export function renderSoakTable({ calmPoints, startedAt }: SoakRecord): string {
  const table = new Table({
    head: [
      'at',
      'after',
      'operations',
      'opened',
      'objects',
      'heap',
      'external',
      'rss',
      'handles',
      'listeners',
      'sockets',
      'sessions',
    ],
    colAligns: ['right', 'left', ...Array.from({ length: 10 }, () => 'right' as const)],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  })
  for (const point of some(calmPoints)) {
    const { sample, left } = point
    table.push([
      `${Math.round((point.at - startedAt) / 1000)} s`,
      point.fault.title,
      sample.operations,
      sample.opened,
      megabytes(sample.objects),
      megabytes(sample.heapUsed),
      megabytes(sample.external),
      megabytes(sample.rss, 1),
      handlesOf(sample.resources),
      sample.listeners + sample.signalListeners,
      left.sockets,
      left.sessions,
    ])
  }
  return table.toString()
}

/** In megabytes, for a person. */
export function megabytes(bytes: number, digits = 3): string {
  return `${(bytes / 1e6).toFixed(digits)} MB`
}

/** The last one is always among them. */
function some(points: readonly CalmPoint[]): readonly CalmPoint[] {
  const step = Math.ceil(points.length / MOST_ROWS)
  return points.filter((_, index) => (points.length - 1 - index) % step === 0)
}
