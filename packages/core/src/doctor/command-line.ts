import { parseArgs } from 'node:util'
import { OPTIONS } from '../options/option-table.ts'
import { messageOf } from '../thrown.ts'
import type { Wanted } from './facts.ts'

/** What `--help` prints. */
export const USAGE: string = `Usage: holdfast doctor [options] [URL]

Asks a PostgreSQL server what a pool of Holdfast has to know, and says what works, what doesn't, and which options suit.
Without a URL it goes by DATABASE_URL, else by PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and PGSSLMODE. It changes nothing.

  --processes <n>      how many processes of the service there are (default: 1)
  --max <n>            the option max of the pool in each of them (default: ${OPTIONS.max.default})
  --timeout <seconds>  how long it may take altogether (default: 10)
  --json               print JSON instead of a table
  --help               print this

Exit code: 0 if nothing fails (there may be warnings), 1 if something does, 2 if it can't be understood what to do.
`

/** What the user wants: help, or a diagnosis. */
export type Request = { readonly help: true } | DoctorRequest

/** What the doctor was asked. */
export interface DoctorRequest {
  readonly help: false
  /** Undefined: the environment says where the server is. */
  readonly connectionString: string | undefined
  readonly wanted: Wanted
  readonly timeoutMillis: number
  readonly isJson: boolean
}

/** It can't be understood what to do. The message repeats no value: that may hold a password. */
export class UsageError extends Error {}

/**
 * Reads the arguments of the command, and the variable DATABASE_URL.
 *
 * @throws {UsageError} if they can't be understood.
 */
export function readCommandLine(args: readonly string[], environment: NodeJS.ProcessEnv): Request {
  const { values, positionals } = parse(args)
  const [command, url, ...others] = positionals
  if (values.help || args.length === 0) return { help: true }
  if (command !== 'doctor') throw new UsageError('The only command is `doctor`.')
  if (others.length > 0) throw new UsageError('`doctor` takes one URL at most.')
  return {
    help: false,
    connectionString: url ?? (environment.DATABASE_URL || undefined),
    wanted: {
      processes: wholeNumber('processes', values.processes, 1),
      max: wholeNumber('max', values.max, OPTIONS.max.default),
    },
    timeoutMillis: 1000 * (values.timeout === undefined ? 10 : seconds(values.timeout)),
    isJson: values.json === true,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        processes: { type: 'string' },
        max: { type: 'string' },
        timeout: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(messageOf(error))
  }
}

function wholeNumber(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`\`--${option}\` must be a whole number from 1.`)
  return Number(text)
}

function seconds(text: string): number {
  const value = /^\d{1,5}(?:\.\d+)?$/.test(text) ? Number(text) : 0
  if (value === 0) throw new UsageError('`--timeout` must be a number of seconds, such as 10 or 0.5.')
  return value
}
