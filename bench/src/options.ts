import { parseCommandLine, parseFolder, parseJsonTarget, UsageError } from '@holdfast/test/support'
import type { Benchmark } from './contest.ts'
import { CONTESTANTS, type ContestantName, isContestantName } from './contestants.ts'
import { type Pace, QUICK, SCALING, USUAL } from './run/pace.ts'

/** What the command line asked for. */
export interface Options {
  readonly wants: 'bench' | 'help'
  readonly benchmarks: readonly Benchmark[]
  /** The only one that takes part, for a profiler to look at. */
  readonly contestant: ContestantName | undefined
  readonly pace: Pace
  /** Whether a missed goal is a failure. */
  readonly check: boolean
  /** Where the numbers go: a file, `-` for standard output, or nowhere. */
  readonly json: string | undefined
  /** Where the pictures go that show how each scales: a folder, or nowhere. Then these are measured, and no benchmark. */
  readonly scale: string | undefined
  /** Where the picture goes that shows an overload: a folder, or nowhere. Then that is shown, and no benchmark. */
  readonly overload: string | undefined
}

const MOST_ROUNDS = 10_000

/**
 * What a command line asks for, of these benchmarks.
 *
 * @throws {UsageError} for anything that is unknown or cannot be done.
 */
export function parseOptions(args: readonly string[], all: readonly Benchmark[]): Options {
  const values = parseCommandLine(args, OPTIONS)
  const scale = parseScale(values)
  const pace = values.quick ? QUICK : scale === undefined ? USUAL : SCALING
  const benchmarks = selected(values.only ?? [], all)
  return {
    wants: values.help ? 'help' : 'bench',
    benchmarks,
    contestant: values.contestant === undefined ? undefined : parseContestant(values.contestant, benchmarks),
    pace: values.rounds === undefined ? pace : { ...pace, rounds: parseRounds(values.rounds) },
    check: values.check ?? false,
    json: values.json === undefined ? undefined : parseJsonTarget(values.json),
    scale,
    overload: parseOverload(values),
  }
}

const OPTIONS = {
  only: { type: 'string', multiple: true },
  contestant: { type: 'string' },
  rounds: { type: 'string' },
  quick: { type: 'boolean' },
  check: { type: 'boolean' },
  json: { type: 'string' },
  scale: { type: 'string' },
  overload: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

function parseScale({ scale, only, contestant }: Partial<Record<string, unknown>>): string | undefined {
  if (typeof scale !== 'string') return undefined
  if (only !== undefined || contestant !== undefined)
    throw new UsageError(
      '--scale measures all contestants, and no benchmark: --only and --contestant have no place there.',
    )
  return parseFolder('--scale', scale)
}

function parseOverload({
  overload,
  scale,
  only,
  contestant,
  json,
}: Partial<Record<string, unknown>>): string | undefined {
  if (typeof overload !== 'string') return undefined
  if ([scale, only, contestant, json].some((each) => each !== undefined))
    throw new UsageError('--overload shows an overload, and no benchmark: nothing else has a place there.')
  return parseFolder('--overload', overload)
}

function selected(lists: readonly string[], all: readonly Benchmark[]): readonly Benchmark[] {
  const names = lists.flatMap((list) => list.split(',')).map((name) => name.trim())
  for (const name of names) {
    if (all.some((benchmark) => benchmark.name === name)) continue
    const known = all.map((benchmark) => benchmark.name).join(', ')
    throw new UsageError(`--only ${name}: no benchmark has this name. There are ${known}.`)
  }
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name))
}

function parseContestant(name: string, benchmarks: readonly Benchmark[]): ContestantName {
  if (!isContestantName(name)) {
    const known = Object.keys(CONTESTANTS).join(', ')
    throw new UsageError(`--contestant ${name}: no contestant has this name. There are ${known}.`)
  }
  const absent = benchmarks.filter(({ contestants }) => !contestants.includes(name)).map((benchmark) => benchmark.name)
  if (absent.length < benchmarks.length) return name
  throw new UsageError(`--contestant ${name}: takes no part in ${absent.join(', ')}.`)
}

function parseRounds(text: string): number {
  const rounds = Number(text)
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= MOST_ROUNDS && text.trim() !== '') return rounds
  throw new UsageError(`--rounds must be a whole number from 1 to ${MOST_ROUNDS}, got ${JSON.stringify(text)}.`)
}

/** What `--help` prints. */
export function helpText(all: readonly Benchmark[]): string {
  return `Usage: npm run bench -- [options]

Compares Holdfast with other pools, side by side on this machine: how many times better it is, and how sure that is.

  --only <name>[,<name>...]  only these benchmarks; may be repeated
  --rounds <number>          how often everybody is measured (${USUAL.rounds})
  --quick                    ${QUICK.rounds} short rounds: shows that it works, proves nothing
  --json [file]              the numbers as JSON, into a file or ("-", or nothing) to standard output
  --scale <folder>           how each scales with callers and connections, as pictures into this folder; runs no benchmark
  --overload <folder>        what becomes of callers while the server is slow, as a picture into this folder; runs no benchmark
  --check                    exits with 1 if a goal is missed
  --contestant <name>        measures only this one, and compares nothing: for a profiler
  --help                     this

Benchmarks:
${all.map(({ name, about }) => `  ${name.padEnd(26)} ${about}`).join('\n')}

Contestants:
${Object.entries(CONTESTANTS)
  .map(([name, title]) => `  ${name.padEnd(26)} ${title}`)
  .join('\n')}

To see where the time goes: npm run build, then
  npx node --cpu-prof --cpu-prof-dir=node_modules/.cache/profiles bench/dist/main.js --only acquire --contestant holdfast

Exits with 0; with 1 if --check was given and a goal missed; with 2 if the command line makes no sense; with 130 after
Ctrl-C.
`
}
