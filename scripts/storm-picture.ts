import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { COLOURS, escaped, picture, round } from '../test/support/drawing.ts'

const RECORD = join(import.meta.dirname, '../docs/storm.json')
const PICTURE = join(import.meta.dirname, '../docs/storm.svg')

/** What `npm start -- --json` writes, as far as the picture needs it. Times are in seconds. */
export interface Storm {
  readonly server: string
  readonly node: string
  readonly startedAt: string
  readonly seed: number
  readonly stacks: readonly Stack[]
}

interface Stack {
  readonly title: string
  readonly isJudged: boolean
  readonly all: Totals
  readonly course: Course
}

interface Totals {
  readonly errors: number
  readonly hangs: number
  readonly crashes: number
  readonly lost: number
  readonly uncommitted: number
  readonly leakedSlots: number
}

interface Course {
  readonly slices: readonly Slice[]
  readonly faults: readonly {
    readonly title: string
    readonly from: number
    readonly struckFrom: number
    readonly struckUntil: number
  }[]
  readonly crashes: readonly number[]
}

interface Slice {
  readonly at: number
  readonly successesPerSecond: number
  readonly errorsPerSecond: number
}

const WIDTH = 960
const LEFT = 16
const RIGHT = 16
const LABELS = 116
const PANEL = 118
const CHART = 66
const BELOW = 40
const SLICE_SECONDS = 0.5

/** Draws the course of every stack of one storm, one below the other, over the same axis of time. */
export function stormPicture(storm: Storm): string {
  const seconds = Math.max(...storm.stacks.map(({ course }) => (course.slices.at(-1)?.at ?? 0) + SLICE_SECONDS / 2))
  const rate = Math.max(...storm.stacks.flatMap(({ course }) => course.slices.map((each) => each.successesPerSecond)))
  const x = (at: number): number => round(LEFT + (at / seconds) * (WIDTH - LEFT - RIGHT))
  const height = LABELS + storm.stacks.length * PANEL + BELOW
  const panels = storm.stacks.map((stack, index) => panel(stack, LABELS + index * PANEL, x, rate))
  const title = storm.stacks.map(({ title, all }) => `${title}: ${wordsFor(all)}`).join('; ')
  const parts = [labels(storm.stacks[0], x), ...panels, legend(storm, height)]
  return picture({ width: WIDTH, height }, title, parts.join('\n'))
}

function labels(stack: Stack | undefined, x: (at: number) => number): string {
  const texts = stack?.course.faults.map(({ title, struckFrom }) => {
    const left = x(struckFrom) + 4
    return `<text x="${left}" y="${LABELS - 4}" transform="rotate(-42 ${left} ${LABELS - 4})" font-size="11.5" fill="${COLOURS.text}">${escaped(title)}</text>`
  })
  return (texts ?? []).join('\n')
}

function panel({ title, isJudged, all, course }: Stack, top: number, x: (at: number) => number, rate: number): string {
  const base = top + CHART + 34
  const tall = (value: number): number => round((Math.min(value, rate) / rate) * CHART)
  const strikes = course.faults.map(
    ({ struckFrom, struckUntil }) =>
      `<rect x="${x(struckFrom)}" y="${base - CHART - 6}" width="${Math.max(2, round(x(struckUntil) - x(struckFrom)))}" height="${CHART + 6}" fill="${COLOURS.strike}"/>`,
  )
  const points = course.slices.map(({ at, successesPerSecond }) => `${x(at)},${round(base - tall(successesPerSecond))}`)
  const [first = '', last = ''] = [points[0]?.split(',')[0], points.at(-1)?.split(',')[0]]
  // One error among hundreds of successes must be visible.
  const errors = course.slices
    .filter(({ errorsPerSecond }) => errorsPerSecond > 0)
    .map(({ at, errorsPerSecond }) => [x(at), Math.max(4, tall(errorsPerSecond))] as const)
    .map(([left, bar]) => `<rect x="${round(left - 1.5)}" y="${round(base - bar)}" width="3" height="${bar}"/>`)
  const crashes = course.crashes.map((at) => `<path d="M${x(at)} ${base + 1}l4 8h-8z"/>`)
  return `<g>
<text x="${LEFT}" y="${top + 20}" font-size="14" fill="${COLOURS.text}"><tspan font-weight="600">${escaped(title)}</tspan><tspan dx="10" fill="${isJudged ? COLOURS.success : COLOURS.error}">${wordsFor(all)}</tspan></text>
${strikes.join('\n')}
<polygon points="${first},${base} ${points.join(' ')} ${last},${base}" fill="${COLOURS.success}" fill-opacity="0.3" stroke="${COLOURS.success}" stroke-width="1"/>
<g fill="${COLOURS.error}">
${[...errors, ...crashes].join('\n')}
</g>
<path d="M${LEFT} ${base}H${WIDTH - RIGHT}" stroke="${COLOURS.line}"/>
</g>`
}

function wordsFor({ errors, hangs, crashes, lost, uncommitted, leakedSlots }: Totals): string {
  const counts = [
    [errors, 'errors'],
    [hangs, 'hangs'],
    [crashes, 'crashes'],
    [lost, 'lost writes'],
    [uncommitted, 'writes that were never committed'],
    [leakedSlots, 'lost slots'],
  ] as const
  return counts.map(([count, what]) => `${count} ${what}`).join(', ')
}

function legend({ server, node, startedAt, seed }: Storm, height: number): string {
  const y = height - 14
  const run = `one \`npm start -- --only pg\`, ${startedAt.slice(0, 10)}, ${server}, Node ${node}, seed ${seed}`
  return `<g font-size="11.5" fill="${COLOURS.faint}">
<rect x="${LEFT}" y="${y - 9}" width="10" height="10" fill="${COLOURS.success}" fill-opacity="0.4"/><text x="${LEFT + 15}" y="${y}">successes</text>
<rect x="${LEFT + 85}" y="${y - 9}" width="10" height="10" fill="${COLOURS.error}"/><text x="${LEFT + 100}" y="${y}">errors</text>
<path d="M${LEFT + 156} ${y - 9}l5 10h-10z" fill="${COLOURS.error}"/><text x="${LEFT + 166}" y="${y}">crash</text>
<rect x="${LEFT + 212}" y="${y - 9}" width="10" height="10" fill="${COLOURS.strike}"/><text x="${LEFT + 227}" y="${y}">the fault</text>
<text x="${WIDTH - RIGHT}" y="${y}" text-anchor="end">${escaped(run)}</text>
</g>`
}

/** The record without what the picture does not show. */
function reduced({ server, node, startedAt, seed, stacks }: Storm): Storm {
  return {
    server,
    node,
    startedAt,
    seed,
    stacks: stacks.map(({ title, isJudged, all, course }) => ({
      title,
      isJudged,
      all,
      course: {
        ...course,
        slices: course.slices.map(({ at, successesPerSecond, errorsPerSecond }) => ({
          at,
          successesPerSecond,
          errorsPerSecond,
        })),
      },
    })),
  }
}

/** `npm run picture` draws the record in docs/ once more; `npm run picture -- numbers.json` takes a new record first. */
if (import.meta.main) {
  const [, , numbers] = process.argv
  const storm = reduced(JSON.parse(readFileSync(numbers ?? RECORD, 'utf8')) as Storm)
  if (numbers !== undefined) writeFileSync(RECORD, `${JSON.stringify(storm)}\n`)
  writeFileSync(PICTURE, stormPicture(storm))
}
