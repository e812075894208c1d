import { styleText } from 'node:util'
import Table from 'cli-table3'
import { type PhaseResult, phaseResult } from '../results/phase-result.ts'
import { totals } from '../results/totals.ts'
import type { StackRecord, StormRecord } from '../run/record.ts'
import { NOTES } from './terms.ts'

/** The columns of the table, on the terminal and in the page. */
export interface Column {
  readonly head: string
  /** What it means, for the legend. */
  readonly meaning: string
  text(result: Numbers): string
  /** Whether this value is bad. */
  isBad(result: Numbers): boolean
}

type Numbers = Omit<PhaseResult, 'fault'>

/** The rows of the table that belong together: one fault, or all of them. */
export interface RowGroup {
  readonly title: string
  readonly rows: readonly { readonly stack: StackRecord['stack']; readonly result: Numbers }[]
}

/** The numbers of each fault and stack. */
export const COLUMNS: readonly Column[] = [
  number('ok', 'operations that succeeded', ({ succeeded }) => succeeded, false),
  number('errors', 'failures that the application saw, or that died with its process', ({ errors }) => errors),
  number('retried', 'transactions that were run again as a whole', ({ retried }) => retried, false),
  number('hangs', 'operations pending for more than 5 s', ({ hangs }) => hangs),
  number('crashes', 'times the process died', ({ crashes }) => crashes),
  number('lost', 'acknowledged writes that are not in the database', ({ lost }) => lost),
  number('doubled', 'writes that are in the database twice', ({ doubled }) => doubled),
  number(
    'stray',
    'writes that are in the database, although they were not committed',
    ({ uncommitted, denied }) => uncommitted + denied,
  ),
  number(
    'misreported',
    'transactions that were reported as failed, but are written: a caller that submits them again doubles them',
    ({ misreported }) => misreported,
  ),
  number(
    'unknown',
    'transactions whose error says that the outcome is unknown; single statements are among the errors',
    ({ unknown }) => unknown,
    false,
  ),
  {
    head: 'balance',
    meaning: 'whether the balances agree with each other and with the ledger',
    text: ({ balancesAreRight }) => (balancesAreRight ? 'right' : 'WRONG'),
    isBad: ({ balancesAreRight }) => !balancesAreRight,
  },
  number(
    'leaked',
    'slots of the pool that could not be used afterwards, and sessions left at the server in a transaction',
    ({ leakedSlots, leakedSessions }) => leakedSlots + leakedSessions,
  ),
  {
    head: 'back after',
    meaning:
      'from the beginning of the fault to the first success of an operation that began after it; for all faults, the longest',
    text: ({ backAfterMillis }) => (backAfterMillis === undefined ? 'never' : duration(backAfterMillis)),
    isBad: ({ backAfterMillis }) => backAfterMillis === undefined,
  },
]

/** Fault by fault, and the sums of all of them. */
export function rowGroups({ stacks }: StormRecord): readonly RowGroup[] {
  const faults = stacks[0]?.phases ?? []
  const groups = faults.map(({ fault, index }) => ({
    title: fault.title,
    rows: stacks.flatMap(({ stack, phases }) => {
      const phase = phases[index]
      return phase ? [{ stack, result: phaseResult(phase) }] : []
    }),
  }))
  if (faults.length === 1) return groups
  const rows = stacks.map((record) => ({ stack: record.stack, result: totals(record) }))
  return [...groups, { title: `all ${faults.length} faults`, rows }]
}

/** The table for a terminal, or for a file when colours are off. */
export function renderTable(record: StormRecord): string {
  const table = new Table({
    head: ['', ...COLUMNS.map(({ head }) => head)],
    colAligns: ['left', ...COLUMNS.map(() => 'right' as const)],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  })
  for (const { title, rows } of rowGroups(record)) {
    table.push([styleText('bold', title), ...COLUMNS.map(() => '')])
    for (const { stack, result } of rows)
      table.push([`  ${stack.title}`, ...COLUMNS.map((column) => coloured(column, result))])
  }
  return table.toString()
}

/** What the columns of the table mean, and which stacks are compared. */
export function renderLegend({ stacks }: StormRecord): string {
  const lines = [
    ...COLUMNS.map(({ head, meaning }) => [head, meaning] as const),
    ...NOTES.map(({ term, meaning }) => [term, meaning] as const),
    ...stacks.map(({ stack }) => [stack.title, stack.about] as const),
  ]
  const width = Math.max(...lines.map(([term]) => term.length))
  return lines.map(([term, meaning]) => `  ${term.padEnd(width)}  ${styleText('dim', meaning)}`).join('\n')
}

function coloured(column: Column, result: Numbers): string {
  const text = column.text(result)
  if (column.isBad(result)) return styleText(['red', 'bold'], text)
  return text === '0' ? styleText('dim', text) : text
}

function number(head: string, meaning: string, read: (result: Numbers) => number, mayWorry = true): Column {
  return { head, meaning, text: (result) => String(read(result)), isBad: (result) => mayWorry && read(result) > 0 }
}

/** A duration, for people. */
export function duration(millis: number): string {
  return millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(2)} s`
}
