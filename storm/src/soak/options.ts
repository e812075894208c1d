import { randomInt } from 'node:crypto'
import { parseCommandLine, parseJsonTarget, parseSeed, UsageError } from '@holdfast/test/support'

/** What the command line asked for. */
export interface SoakOptions {
  readonly wants: 'soak' | 'help'
  readonly minutes: number
  readonly seed: number
  /** Where the numbers go: a file, `-` for standard output, or nowhere. */
  readonly json: string | undefined
}

const LARGEST_SEED = 2 ** 31
const USUAL_MINUTES = 5
const MOST_MINUTES = 24 * 60

/** @throws {UsageError} for anything that is unknown or cannot be done. */
export function parseSoakOptions(args: readonly string[]): SoakOptions {
  const values = parseCommandLine(args, OPTIONS)
  return {
    wants: values.help ? 'help' : 'soak',
    minutes: values.minutes === undefined ? USUAL_MINUTES : parseMinutes(values.minutes),
    seed: values.seed === undefined ? randomInt(LARGEST_SEED) : parseSeed(values.seed),
    json: values.json === undefined ? undefined : parseJsonTarget(values.json),
  }
}

const OPTIONS = {
  minutes: { type: 'string' },
  seed: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

function parseMinutes(text: string): number {
  const minutes = Number(text)
  if (minutes > 0 && minutes <= MOST_MINUTES) return minutes
  throw new UsageError(`--minutes must be a number above 0, at most ${MOST_MINUTES}, got ${JSON.stringify(text)}.`)
}

/** What `--help` prints. */
export const SOAK_HELP: string = `Usage: npm run soak -- [options]

Uses every part of Holdfast for some minutes, in one process, while its Postgres breaks in every way that the storm
knows, and looks whether anything grows: memory, handles, listeners, sockets, sessions.

  --minutes <number>  how long (${USUAL_MINUTES}); below 2 there are too few points to judge, and all is "unclear"
  --seed <number>     repeats the order of faults and the choices of the callers (the timing is never the same)
  --json [file]       all samples as JSON, into a file or ("-", or nothing) to standard output
  --help              this

Exits with 0 if nothing grew and nothing was wrong; with 1 if something did; with 2 if the command line makes no sense;
with 130 after Ctrl-C, which prints what there is so far.
`
