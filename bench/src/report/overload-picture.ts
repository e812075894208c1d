import { COLOURS, escaped, picture, round } from '@holdfast/test/support'
import { type Outcome, OVERLOAD, type OverloadResult } from '../overload/overload.ts'

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  'in time': COLOURS.success,
  'too late': COLOURS.error,
  refused: COLOURS.faint,
}
const NAMES = Object.keys(OUTCOMES) as Outcome[]

const WIDTH = 960
const LEFT = 24
const RIGHT = 24
const TOP = 44
const BAND = 110
const BARS = 72
const BIN_MILLIS = 250
const BINS = OVERLOAD.lastsMillis / BIN_MILLIS
const BIN_WIDTH = (WIDTH - LEFT - RIGHT) / BINS
const MOST = (OVERLOAD.callersPerSecond * BIN_MILLIS) / 1000

/** How many callers had each outcome. */
export function outcomesOf({ callers }: OverloadResult): Record<Outcome, number> {
  const counts = { 'in time': 0, 'too late': 0, refused: 0 }
  for (const { outcome } of callers) counts[outcome]++
  return counts
}

/** Draws what became of the callers, by the time at which they came: a band for each pool. */
export function overloadPicture(results: readonly OverloadResult[]): string {
  const height = TOP + results.length * BAND + 30
  const body = [...results.map((result, index) => band(result, TOP + index * BAND)), legend(height)]
  return picture({ width: WIDTH, height }, 'What becomes of callers while the server is slow', body.join('\n'))
}

function band(result: OverloadResult, top: number): string {
  const bottom = top + 22 + BARS
  const { slowFrom, slowUntil } = OVERLOAD
  const x = (millis: number): number => round(LEFT + (millis / BIN_MILLIS) * BIN_WIDTH)
  const counts = outcomesOf(result)
  const told = NAMES.filter((name) => counts[name] > 0).map((name) => `${counts[name]} ${name}`)
  return `<rect x="${x(slowFrom)}" y="${top + 22}" width="${round(x(slowUntil) - x(slowFrom))}" height="${BARS}" fill="${COLOURS.strike}"/>
<text x="${LEFT}" y="${top + 14}" font-size="13" font-weight="600" fill="${COLOURS.text}">${escaped(result.pool)}</text>
<text x="${WIDTH - RIGHT}" y="${top + 14}" font-size="11.5" text-anchor="end" fill="${COLOURS.faint}">${told.join(', ')}</text>
${Array.from({ length: BINS }, (_, bin) => bars(result, bin, bottom)).join('')}
<path d="M${LEFT} ${bottom}H${WIDTH - RIGHT}" stroke="${COLOURS.line}"/>`
}

function bars({ callers }: OverloadResult, bin: number, bottom: number): string {
  const here = callers.filter(({ at }) => Math.floor(at / BIN_MILLIS) === bin)
  let y = bottom
  return NAMES.map((name) => {
    const height = (here.filter(({ outcome }) => outcome === name).length / MOST) * BARS
    if (height === 0) return ''
    y -= height
    return `<rect x="${round(LEFT + bin * BIN_WIDTH)}" y="${round(y)}" width="${round(BIN_WIDTH - 1)}" height="${round(height)}" fill="${OUTCOMES[name]}"/>`
  }).join('')
}

function legend(height: number): string {
  const { callersPerSecond, connections, fastMillis, slowMillis, slowFrom, slowUntil, patienceMillis } = OVERLOAD
  const seconds = (slowUntil - slowFrom) / 1000
  const heading = `${callersPerSecond} callers a second on ${connections} connections; for ${seconds} s each statement takes ${slowMillis} ms instead of ${fastMillis}`
  const entries = NAMES.map((name, index) => {
    const left = LEFT + index * 100
    return `<rect x="${left}" y="${height - 23}" width="10" height="10" fill="${OUTCOMES[name]}"/><text x="${left + 15}" y="${height - 14}">${name}</text>`
  })
  return `<text x="${LEFT}" y="24" font-size="14" fill="${COLOURS.text}">${escaped(heading)}</text>
<g font-size="11.5" fill="${COLOURS.faint}">
${entries.join('\n')}
<text x="${WIDTH - RIGHT}" y="${height - 14}" text-anchor="end">by the time at which they came; a caller has gone after ${patienceMillis / 1000} s</text>
</g>`
}
