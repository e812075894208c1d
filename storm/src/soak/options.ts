import { randomInt } from 'node:crypto'
import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { UsageError } from '../options.ts'

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
  const values = parse(args)
  return {
    wants: values.help ? 'help' : 'soak',
    minutes: values.minutes === undefined ? USUAL_MINUTES : parseMinutes(values.minutes),
    seed: values.seed === undefined ? randomInt(LARGEST_SEED) : parseSeed(values.seed),
    json: values.json === undefined ? undefined : parseTarget(values.json),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: withJsonTarget(args), options: OPTIONS }).values
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message)
    throw error
  }
}

const OPTIONS = {
  minutes: { type: 'string' },
  seed: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

/** `--json` alone means standard output; `parseArgs` knows no optional values. */
function withJsonTarget(args: readonly string[]): string[] {
  return args.flatMap((arg, index) => {
    const next = args[index + 1]
    const isAlone = next === undefined || (next.startsWith('-') && next !== '-')
    return arg === '--json' && isAlone ? ['--json', '-'] : [arg]
  })
}

function parseMinutes(text: string): number {
  const minutes = Number(text)
  if (minutes > 0 && minutes <= MOST_MINUTES) return minutes
  throw new UsageError(`--minutes must be a number above 0, at most ${MOST_MINUTES}, got ${JSON.stringify(text)}.`)
}

function parseSeed(text: string): number {
  const seed = Number(text)
  if (Number.isSafeInteger(seed) && seed >= 0 && text.trim() !== '') return seed
  throw new UsageError(`--seed must be a whole number from 0, got ${JSON.stringify(text)}.`)
}

/** Before the soak and not after: it takes minutes. */
function parseTarget(file: string): string {
  if (file === '-') return file
  if (file === '' || isDirectory(file)) throw new UsageError(`--json ${JSON.stringify(file)}: that is no file.`)
  if (isDirectory(dirname(resolve(file)))) return file
  throw new UsageError(`--json ${file}: there is no folder ${dirname(file)}.`)
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** What `--help` prints. */
export const SOAK_HELP: string = `Usage: npm run soak -- [options]

Uses every part of Holdfast for some minutes, in one process, while its Postgres breaks in every way that the storm
knows, and looks whether anything grows: memory, handles, listeners, sockets, sessions.

  --minutes <number>  how long (${USUAL_MINUTES}); below 2 there are too few points to judge
  --seed <number>     repeats the order of faults and the choices of the callers (the timing is never the same)
  --json [file]       all samples as JSON, into a file or ("-", or nothing) to standard output
  --help              this

Exits with 0 if nothing grew and nothing was wrong; with 1 if something did; with 2 if the command line makes no sense;
with 130 after Ctrl-C, which prints what there is so far.
`
