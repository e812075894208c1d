import { randomInt } from 'node:crypto'
import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseCommandLine, parseJsonTarget, parseSeed, UsageError } from '@holdfast/test/support'
import { FAULTS } from './faults/index.ts'
import { parseOrm, type Selection, select, selectShort, USUAL_ORM } from './selection.ts'
import { STACKS } from './stacks/index.ts'

/** What the command line asked for. */
export interface Options extends Selection {
  readonly wants: 'storm' | 'help' | 'list'
  /** Whether a terminal is asked which ORM the short storm shows. */
  readonly mayAsk: boolean
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
  const databaseUrl = values['database-url']
  if (databaseUrl !== undefined && !isPostgresUrl(databaseUrl))
    throw new UsageError('--database-url must be a URL such as postgres://user:password@host:5432/database.')
  return {
    wants: values.help ? 'help' : values.list ? 'list' : 'storm',
    ...selectionOf(values, databaseUrl !== undefined),
    mayAsk: !isWhole(values) && values.orm === undefined,
    seed: values.seed === undefined ? randomInt(LARGEST_SEED) : parseSeed(values.seed),
    databaseUrl,
    json: values.json === undefined ? undefined : parseJsonTarget(values.json),
    report: parseReportTarget(values.report),
  }
}

interface Chosen {
  readonly all?: boolean | undefined
  readonly only?: readonly string[] | undefined
  readonly orm?: string | undefined
}

function selectionOf(chosen: Chosen, isForeignServer: boolean): Selection {
  const { only = [], orm = USUAL_ORM } = chosen
  if (!isWhole(chosen)) return selectShort(parseOrm(orm), isForeignServer)
  if (chosen.orm !== undefined)
    throw new UsageError(
      '--orm chooses for the short storm, so not with --all or --only, which takes the name of an ORM.',
    )
  return select(
    only.flatMap((list) => list.split(',')),
    isForeignServer,
  )
}

/** Whether it is the whole storm, or a part of that. */
function isWhole({ all, only }: Chosen): boolean {
  return all === true || only !== undefined
}

const OPTIONS = {
  all: { type: 'boolean' },
  orm: { type: 'string' },
  only: { type: 'string', multiple: true },
  json: { type: 'string' },
  report: { type: 'string', default: 'storm-report.html' },
  seed: { type: 'string' },
  'database-url': { type: 'string' },
  list: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

function isPostgresUrl(text: string): boolean {
  return URL.canParse(text) && ['postgres:', 'postgresql:'].includes(new URL(text).protocol)
}

/** Asked before the storm and not after, for that takes minutes. */
function parseReportTarget(file: string): string {
  const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  if (file === '' || isFolder(file)) throw new UsageError(`--report ${JSON.stringify(file)}: that is no file.`)
  if (isFolder(dirname(resolve(file)))) return file
  throw new UsageError(`--report ${file}: there is no folder ${dirname(file)}.`)
}

/** What `--list` prints. */
export function listText(): string {
  const lines = (named: readonly { readonly name: string; readonly text: string }[]): string =>
    named.map(({ name, text }) => `  ${name.padEnd(26)}${text}`).join('\n')
  return `Stacks, by family (pg, drizzle, kysely, typeorm):
${lines(STACKS.map(({ name, about }) => ({ name, text: about })))}

Faults, in their order:
${lines(FAULTS.map(({ name, story, needs }) => ({ name, text: needs === 'server' ? `${story} (not with --database-url)` : story })))}
`
}

/** What `--help` prints. */
export const HELP: string = `Usage: npm start -- [options]

Puts the same service on pg and on an ORM, each stock and with Holdfast, breaks its Postgres in ten ways, and compares.
It takes about a minute and a quarter. A terminal is asked for the ORM.

  --orm <name>               drizzle (which is usual), kysely or typeorm, without a question
  --all                      pg, Drizzle, Kysely and TypeORM, in every way that the storm knows, in five minutes
  --only <name>[,<name>...]  only these of all, in any case; may be repeated:
                               a family of stacks   pg, drizzle, kysely, typeorm
                               all with Holdfast    holdfast
                               a stack or a fault   as --list names them
                             "--only drizzle,fin,rst" is Drizzle, stock and with Holdfast, through two faults
  --json [file]              the numbers as JSON, into a file or ("-", or nothing) to standard output
  --report <file>            where the page with the timelines goes (storm-report.html)
  --seed <number>            makes the callers choose the same again (the timing is never the same)
  --database-url <url>       uses this server instead of embedded ones, in schemas of its own that are dropped
                             afterwards; only faults that a client and a proxy can make
  --list                     names all stacks and faults
  --help, -h                 this

Exits with 0 if Holdfast held fast; with 1 if it lost, doubled, leaked, crashed or hung; with 2 if the command line makes
no sense; with 130 after Ctrl-C.
`
