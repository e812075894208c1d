import { COLOURS, escaped, picture, round } from '@holdfast/test/support'
import { scalePointOf } from '../benchmarks/scale.ts'
import { CONTESTANTS, type ContestantName } from '../contestants.ts'
import { type MetricResult, ratiosPerRound } from '../results/contest-result.ts'
import { type Spread, spreadOf } from '../results/spread.ts'

const BASE: ContestantName = 'pg-pool'
const COLOUR_OF: Partial<Record<ContestantName, string>> = {
  holdfast: COLOURS.success,
  'postgres-js': COLOURS.error,
  [BASE]: COLOURS.faint,
}

const WIDTH = 960
const HEIGHT = 340
const LEFT = 44
const GAP = 44
const RIGHT = 24
const TOP = 66
const BOTTOM = 62
const PANEL = (WIDTH - LEFT - GAP - RIGHT) / 2
const BASE_LINE = HEIGHT - BOTTOM

/** A contestant at each size: how many times the throughput of `pg.Pool`. */
interface Line {
  readonly contestant: ContestantName
  readonly points: readonly { readonly size: number; readonly times: Spread }[]
}

interface Panel {
  readonly network: string
  readonly lines: readonly Line[]
}

interface Range {
  readonly least: number
  readonly most: number
}

/** Draws the throughput of one scale as multiples of that of `pg.Pool`, a panel for each network. */
export function scalePicture(results: readonly MetricResult[]): string {
  const panels = panelsOf(results)
  const what = results[0]?.benchmark ?? ''
  const times = panels.flatMap(({ lines }) => lines).flatMap(timesOf)
  const range = { least: powerOf2(Math.floor, Math.min(1, ...times)), most: powerOf2(Math.ceil, Math.max(2, ...times)) }
  const body = [...panels.map((panel, index) => drawn(panel, LEFT + index * (PANEL + GAP), range)), legend(what)]
  return picture({ width: WIDTH, height: HEIGHT }, `Throughput as a multiple of pg.Pool's, by ${what}`, body.join('\n'))
}

function timesOf({ points }: Line): number[] {
  return points.flatMap(({ times }) => [times.lowerQuartile, times.upperQuartile])
}

/** The power of 2 that is next to it. */
function powerOf2(next: (exponent: number) => number, value: number): number {
  return 2 ** next(Math.log2(value))
}

function panelsOf(results: readonly MetricResult[]): Panel[] {
  const throughputs = results.filter(({ metric }) => metric.better === 'more')
  const networks = [...new Set(throughputs.map(({ contest }) => scalePointOf(contest).network))]
  return networks.map((network) => {
    const here = throughputs.filter(({ contest }) => scalePointOf(contest).network === network)
    const names = here[0]?.values.map(({ contestant }) => contestant) ?? []
    return { network, lines: names.map((name) => lineOf(name, here)) }
  })
}

function lineOf(contestant: ContestantName, results: readonly MetricResult[]): Line {
  const points = results.map(({ contest, values }) => {
    const samplesOf = (name: ContestantName): readonly number[] =>
      values.find((value) => value.contestant === name)?.samples ?? []
    const times = spreadOf(ratiosPerRound(samplesOf(contestant), samplesOf(BASE), 'more'))
    return { size: scalePointOf(contest).size, times }
  })
  return { contestant, points }
}

/** Both axes are logarithmic: twice as much is as far apart everywhere. */
function drawn({ network, lines }: Panel, left: number, { least, most }: Range): string {
  const sizes = lines[0]?.points.map(({ size }) => size) ?? []
  const [first = 1, last = 1] = [sizes[0], sizes.at(-1)]
  const x = (size: number): number => round(left + (Math.log(size / first) / Math.log(last / first)) * PANEL)
  const y = (times: number): number =>
    round(BASE_LINE - (Math.log(times / least) / Math.log(most / least)) * (BASE_LINE - TOP))
  const steps = Array.from({ length: Math.log2(most / least) + 1 }, (_, step) => least * 2 ** step)
  const grid = steps.map(
    (step) => `<path d="M${left} ${y(step)}h${PANEL}" stroke="${COLOURS.line}"/>
<text x="${left - 8}" y="${y(step) + 4}" text-anchor="end">${step}</text>`,
  )
  const labels = sizes.map((size) => `<text x="${x(size)}" y="${BASE_LINE + 18}" text-anchor="middle">${size}</text>`)
  return `<g font-size="11.5" fill="${COLOURS.faint}">
<text x="${left}" y="${TOP - 14}" font-size="14" font-weight="600" fill="${COLOURS.text}">${escaped(network)}</text>
${[...grid, ...labels].join('\n')}
</g>
${lines.map((line) => drawnLine(line, x, y)).join('\n')}`
}

/** The median, in front of the middle half of all rounds. */
function drawnLine({ contestant, points }: Line, x: (size: number) => number, y: (times: number) => number): string {
  const colour = COLOUR_OF[contestant]
  const along = (value: (times: Spread) => number): string[] =>
    points.map(({ size, times }) => `${x(size)},${y(value(times))}`)
  const half = [...along((times) => times.upperQuartile), ...along((times) => times.lowerQuartile).reverse()]
  const dots = points.map(({ size, times }) => `<circle cx="${x(size)}" cy="${y(times.median)}" r="3"/>`)
  return `<g fill="${colour}">
<polygon points="${half.join(' ')}" fill-opacity="0.18"/>
<polyline points="${along((times) => times.median).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>
${dots.join('')}
</g>`
}

function legend(what: string): string {
  const names = ['holdfast', 'postgres-js', BASE] as const
  const y = HEIGHT - 14
  const entries = names.map((name, index) => {
    const left = LEFT + index * 100
    return `<rect x="${left}" y="${y - 9}" width="10" height="10" fill="${COLOUR_OF[name]}"/><text x="${left + 15}" y="${y}">${CONTESTANTS[name]}</text>`
  })
  const heading = `Throughput, as a multiple of pg.Pool's: one row by its key, by the number of ${what}`
  return `<text x="${LEFT}" y="24" font-size="14" fill="${COLOURS.text}">${escaped(heading)}</text>
<g font-size="11.5" fill="${COLOURS.faint}">
${entries.join('\n')}
<text x="${WIDTH - RIGHT}" y="${y}" text-anchor="end">the line is the median of all rounds, its shade their middle half</text>
</g>`
}
