import { styleText } from 'node:util'
import Table from 'cli-table3'
import { type PhaseResult, phaseResult } from '../results/phase-result.ts'
import type { StormRecord } from '../run/record.ts'

/** The columns of the table, on the terminal and in the page. */
export interface Column {
  readonly head: string
  /** What it means, for the legend. */
  readonly meaning: string
  text(result: PhaseResult): string
  /** Whether this should worry whoever reads it. */
  isBad(result: PhaseResult): boolean
}

/** Fault by fault, stack by stack, these are the numbers. */
export const COLUMNS: readonly Column[] = [
  number('ok', 'operations that succeeded', ({ succeeded }) => succeeded, false),
  number('errors', 'failures that the application saw, or that died with its process', ({ errors }) => errors),
  number('hangs', 'operations pending for more than 5 s', ({ hangs }) => hangs),
  number('crashes', 'times the process died', ({ crashes }) => crashes),
  number('lost', 'acknowledged writes that are not in the database', ({ lost }) => lost),
  number('doubled', 'writes that are there twice', ({ doubled }) => doubled),
  number(
    'stray',
    'writes that are there, although nobody committed them',
    ({ uncommitted, denied }) => uncommitted + denied,
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
    meaning: 'from the beginning of the fault to the first success of an operation that began after it',
    text: ({ backAfterMillis }) => (backAfterMillis === undefined ? 'never' : duration(backAfterMillis)),
    isBad: ({ backAfterMillis }) => backAfterMillis === undefined,
  },
]

/** The table for a terminal, or for a file when colours are off. */
export function renderTable(record: StormRecord): string {
  const table = new Table({
    head: ['fault', 'stack', ...COLUMNS.map(({ head }) => head)],
    colAligns: ['left', 'left', ...COLUMNS.map(() => 'right' as const)],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  })
  const faults = record.stacks[0]?.phases ?? []
  for (const { fault, index } of faults) {
    record.stacks.forEach(({ stack, phases }, position) => {
      const phase = phases[index]
      if (!phase) return
      const result = phaseResult(phase)
      // A fault's name stands above its stacks once; a rule for each of them would only be noise.
      table.push([position === 0 ? fault.title : '', stack.title, ...COLUMNS.map((column) => coloured(column, result))])
    })
  }
  return table.toString()
}

/** What the columns of the table mean. */
export function renderLegend(): string {
  const width = Math.max(...COLUMNS.map(({ head }) => head.length))
  return COLUMNS.map(({ head, meaning }) => `  ${head.padEnd(width)}  ${styleText('dim', meaning)}`).join('\n')
}

function coloured(column: Column, result: PhaseResult): string {
  const text = column.text(result)
  if (column.isBad(result)) return styleText(['red', 'bold'], text)
  return text === '0' ? styleText('dim', text) : text
}

function number(head: string, meaning: string, read: (result: PhaseResult) => number, mayWorry = true): Column {
  return { head, meaning, text: (result) => String(read(result)), isBad: (result) => mayWorry && read(result) > 0 }
}

/** A time that a person reads. */
export function duration(millis: number): string {
  return millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(2)} s`
}
