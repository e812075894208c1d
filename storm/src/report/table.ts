import { styleText } from 'node:util'
import Table from 'cli-table3'
import { counted } from '../counted.ts'
import { type PhaseResult, phaseResult } from '../results/phase-result.ts'
import { totals } from '../results/totals.ts'
import type { StackRecord, StormRecord } from '../run/record.ts'
import { NOTES } from './terms.ts'

/** A column of the table. */
export interface Column {
  readonly head: string
  /** What it means, for the legend. */
  readonly meaning: string
  text(result: Numbers): string
  /** Whether this value is bad. */
  isBad(result: Numbers): boolean
  /** What a terminal says of a bad value, if the column must be 0: there it has no column of its own. */
  wrong?(result: Numbers): string
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
  mustBeZero('hangs', 'operations pending for more than 5 s', ({ hangs }) => hangs, 'hang'),
  mustBeZero('crashes', 'times the process died', ({ crashes }) => crashes, 'crash'),
  mustBeZero('lost', 'acknowledged writes that are not in the database', ({ lost }) => lost),
  mustBeZero('doubled', 'writes that are in the database twice', ({ doubled }) => doubled),
  mustBeZero(
    'stray',
    'writes that are in the database, although they were not committed',
    ({ uncommitted, denied }) => uncommitted + denied,
  ),
  mustBeZero(
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
    wrong: () => 'balance wrong',
  },
  mustBeZero(
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

/** A terminal of 100 columns breaks no line. */
const WIDTH = 99
const WRONG_WIDTH = 37
const PLAIN_COLUMNS = COLUMNS.filter(({ wrong }) => wrong === undefined)

/** Columns without lines between them. Long texts are wrapped inside their column. */
const PLAIN = {
  wordWrap: true,
  style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
  chars: {
    ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
    ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
    ...{ mid: '', 'mid-mid': '', 'left-mid': '', 'right-mid': '' },
    ...{ left: '', middle: '', right: '' },
  },
}

/**
 * The table for a terminal, or for a file when colours are off. The page has a column for each number; here those that must be 0
 * are named only where they aren't.
 */
export function renderTable(record: StormRecord): string {
  const table = new Table({
    ...PLAIN,
    head: ['', ...PLAIN_COLUMNS.map(({ head }) => head), 'what went wrong'],
    colAligns: ['left', ...PLAIN_COLUMNS.map(() => 'right' as const), 'left'],
    colWidths: [...Array.from({ length: PLAIN_COLUMNS.length + 1 }, () => null), WRONG_WIDTH],
  })
  for (const { title, rows } of rowGroups(record)) {
    table.push([{ content: styleText('bold', title), colSpan: PLAIN_COLUMNS.length + 2 }])
    for (const { stack, result } of rows)
      table.push([`  ${stack.title}`, ...PLAIN_COLUMNS.map((column) => coloured(column, result)), wrongs(result)])
  }
  return textOf(table)
}

function wrongs(result: Numbers): string {
  const found = COLUMNS.flatMap((column) => (column.wrong && column.isBad(result) ? [column.wrong(result)] : []))
  return styleText(['red', 'bold'], found.join(', '))
}

/** What the columns of the table mean, and which stacks are compared. */
export function renderLegend({ stacks }: StormRecord): string {
  const lines = [
    ...COLUMNS.map(({ head, meaning }) => [head, meaning] as const),
    ...NOTES.map(({ term, meaning }) => [term, meaning] as const),
    ...stacks.map(({ stack }) => [stack.title, stack.about] as const),
  ]
  const width = Math.max(...lines.map(([term]) => term.length)) + 4
  const table = new Table({ ...PLAIN, colWidths: [width, WIDTH - width] })
  for (const [term, meaning] of lines) table.push([`  ${term}`, styleText('dim', meaning)])
  return textOf(table)
}

/** A text that is wrapped, behind a beginning if there is one. */
export function wrapped(text: string, beginning = ''): string {
  const columns = beginning === '' ? [text] : [beginning, text]
  const width = beginning === '' ? 0 : beginning.length + 1
  const table = new Table({ ...PLAIN, colWidths: [width, WIDTH - width].slice(-columns.length) })
  table.push(columns)
  return textOf(table)
}

function textOf(table: Table.Table): string {
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

function coloured(column: Column, result: Numbers): string {
  const text = column.text(result)
  if (column.isBad(result)) return styleText(['red', 'bold'], text)
  return text === '0' ? styleText('dim', text) : text
}

function number(head: string, meaning: string, read: (result: Numbers) => number, mayWorry = true): Column {
  return { head, meaning, text: (result) => String(read(result)), isBad: (result) => mayWorry && read(result) > 0 }
}

/** In words "3 lost", or with a noun that has a plural. */
function mustBeZero(head: string, meaning: string, read: (result: Numbers) => number, one = head): Column {
  return { ...number(head, meaning, read), wrong: (result) => counted(read(result), one, head) }
}

/** A duration, for people. */
export function duration(millis: number): string {
  return millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(2)} s`
}
