import { styleText } from 'node:util'
import Table from 'cli-table3'
import type { Unit } from '../contest.ts'
import { CONTESTANTS, OURS } from '../contestants.ts'
import { type MetricResult, RATIO_DECIMALS, type Ratio, type Value } from '../results/contest-result.ts'

/** The ratios, with the values that they are computed from. */
export function renderTable(results: readonly MetricResult[]): string {
  const table = new Table({
    head: ['benchmark', 'what', 'contestant', 'median', 'Holdfast is', 'middle half', 'goal'],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  })
  let previous: MetricResult | undefined
  for (const result of results) {
    // A row per metric, in which each contestant has a line.
    const lines = result.values.map((value) => {
      const ratio = result.ratios.find(({ peer }) => peer === value.contestant)
      return [...valueCells(value, result.metric.unit), ...ratioCells(ratio)]
    })
    const cells = [0, 1, 2, 3, 4].map((column) => lines.map((line) => line[column] ?? '').join('\n'))
    table.push([heading(result, previous), result.metric.name, ...cells])
    previous = result
  }
  return table.toString()
}

/** Drops repeated titles: what a line above says is noise below. */
function heading({ benchmark, contest }: MetricResult, previous: MetricResult | undefined): string {
  if (previous?.benchmark === benchmark && previous.contest === contest) return ''
  return `${styleText('bold', benchmark)}\n${contest}`
}

/** The meaning of the table's words. */
export function renderLegend(): string {
  const legend = {
    '+ select 1': 'on the client, before each use: how careful users make sure that it is alive',
    "'report'": "with lostCommit: 'report': nobody asks what became of a lost COMMIT",
    median: 'of all rounds, on this machine, with whatever else it was doing: compare nothing but the ratios',
    'Holdfast is': 'how many times better than this contestant: the median over all rounds; above 1 Holdfast wins',
    'middle half': 'half of all rounds had a ratio between these two',
    goal: 'what Holdfast wants to reach at least',
  }
  return Object.entries(legend)
    .map(([word, meaning]) => `  ${word.padEnd(12)} ${styleText('dim', meaning)}`)
    .join('\n')
}

function valueCells({ contestant, spread }: Value, unit: Unit): string[] {
  const title = CONTESTANTS[contestant]
  return [contestant === OURS ? styleText('bold', title) : title, amount(spread.median, unit)]
}

function ratioCells(ratio: Ratio | undefined): string[] {
  if (!ratio) return ['', '', '']
  const { median, lowerQuartile, upperQuartile } = ratio.spread
  return [times(median), `${decimals(lowerQuartile)} to ${decimals(upperQuartile)}`, goalText(ratio)]
}

function goalText({ goal }: Ratio): string {
  if (!goal) return ''
  const verdict = goal.isMet ? styleText('green', 'met') : styleText(['red', 'bold'], 'missed')
  return `${times(goal.atLeast)} ${verdict}`
}

function times(ratio: number): string {
  return `${decimals(ratio)} ×`
}

function decimals(ratio: number): string {
  return ratio.toFixed(RATIO_DECIMALS)
}

/** A number with its unit, for people. */
function amount(value: number, unit: Unit): string {
  const digits = value < 100 && unit !== 'connections' ? 3 : Math.max(3, Math.ceil(Math.log10(value + 1)))
  const text = value.toLocaleString('en', { maximumSignificantDigits: digits })
  return unit === '/s' ? `${text}/s` : `${text} ${unit}`
}
