import { randomInt } from 'node:crypto'
import { parseCommandLine, parseSeed, UsageError } from '@holdfast/test/support'
import type { Fault } from './faults/fault.ts'
import { FAULTS } from './faults/index.ts'
import { STACKS } from './stacks/index.ts'
import type { Stack } from './stacks/stack.ts'

/** What the command line asked for. */
export interface Options {
  readonly wants: 'storm' | 'help' | 'list'
  readonly stacks: readonly Stack[]
  readonly faults: readonly Fault[]
  readonly seed: number
  readonly databaseUrl: string | undefined
  /** Where the numbers go: a file, `-` for standard output, or nowhere. */
  readonly json: string | undefined
  /** Where the page goes. */
  readonly report: string
}

const LARGEST_SEED = 2 ** 31

/** @throws {UsageError} for anything that is unknown or cannot be done. */
export function parseOptions(args: readonly string[]): Options {
  const values = parseCommandLine(args, OPTIONS)
  const names = (values.only ?? []).flatMap((list) => list.split(',')).map((name) => name.trim())
  const databaseUrl = values['database-url']
  if (databaseUrl !== undefined && !URL.canParse(databaseUrl))
    throw new UsageError('--database-url must be a URL such as postgres://user:password@host:5432/database.')
  return {
    wants: values.help ? 'help' : values.list ? 'list' : 'storm',
    ...selected(names, databaseUrl !== undefined),
    seed: values.seed === undefined ? randomInt(LARGEST_SEED) : parseSeed(values.seed),
    databaseUrl,
    json: values.json,
    report: values.report,
  }
}

const OPTIONS = {
  only: { type: 'string', multiple: true },
  json: { type: 'string' },
  report: { type: 'string', default: 'storm-report.html' },
  seed: { type: 'string' },
  'database-url': { type: 'string' },
  list: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

function selected(names: readonly string[], isForeignServer: boolean): Pick<Options, 'stacks' | 'faults'> {
  const possible = FAULTS.filter(({ needs }) => needs === 'connection' || !isForeignServer)
  for (const name of names) {
    if (STACKS.some((stack) => stack.name === name) || possible.some((fault) => fault.name === name)) continue
    if (FAULTS.some((fault) => fault.name === name))
      throw new UsageError(`--only ${name}: this fault needs a server of our own, so not with --database-url.`)
    throw new UsageError(`--only ${name}: no stack and no fault has this name. There are ${allNames()}.`)
  }
  const stacks = STACKS.filter(({ name }) => names.includes(name))
  const faults = possible.filter(({ name }) => names.includes(name))
  return { stacks: stacks.length > 0 ? stacks : STACKS, faults: faults.length > 0 ? faults : possible }
}

function allNames(): string {
  const list = (named: readonly { readonly name: string }[]): string => named.map(({ name }) => name).join(', ')
  return `the stacks ${list(STACKS)} and the faults ${list(FAULTS)}`
}

/** What `--list` prints. */
export function listText(): string {
  const lines = (named: readonly { readonly name: string; readonly text: string }[]): string =>
    named.map(({ name, text }) => `  ${name.padEnd(26)}${text}`).join('\n')
  return `Stacks:
${lines(STACKS.map(({ name, about }) => ({ name, text: about })))}

Faults, in their order:
${lines(FAULTS.map(({ name, story, needs }) => ({ name, text: needs === 'server' ? `${story} (not with --database-url)` : story })))}
`
}

/** What `--help` prints. */
export const HELP: string = `Usage: npm start -- [options]

Puts the same service on stock pg.Pool and on Holdfast, breaks its Postgres in every way that it knows, and compares.

  --only <name>[,<name>...]  only these stacks, or faults, or both; may be repeated
  --json [file]              the numbers as JSON, into a file or ("-", or nothing) to standard output
  --report <file>            where the page with the timelines goes (storm-report.html)
  --seed <number>            makes the callers choose the same again (the timing is never the same)
  --database-url <url>       uses this server instead of embedded ones, in a schema of its own that is dropped
                             afterwards; only faults that a client and a proxy can make
  --list                     names all stacks and faults
  --help                     this

Exits with 0 if Holdfast held fast; with 1 if it lost, doubled, leaked, crashed or hung; with 2 if the command line makes
no sense; with 130 after Ctrl-C.
`
