import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** The command line makes no sense; the message says why. */
export class UsageError extends Error {}

type Values<Options extends ParseArgsConfig['options']> = ReturnType<typeof parseArgs<{ options: Options }>>['values']

/**
 * The values of these options. `--json` alone means standard output; `parseArgs` knows no optional values.
 *
 * @throws {UsageError} for anything that is unknown.
 */
export function parseCommandLine<const Options extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: Options,
): Values<Options> {
  try {
    return parseArgs({ args: withJsonTarget(args), options }).values as Values<Options>
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message)
    throw error
  }
}

function withJsonTarget(args: readonly string[]): string[] {
  return args.flatMap((arg, index) => {
    const next = args[index + 1]
    const isAlone = next === undefined || (next.startsWith('-') && next !== '-')
    return arg === '--json' && isAlone ? ['--json', '-'] : [arg]
  })
}

/**
 * Where `--json` leads: asked before the work and not after, for that takes minutes.
 *
 * @throws {UsageError} for what can't be written to.
 */
export function parseJsonTarget(file: string): string {
  if (file === '-') return file
  if (file === '' || isDirectory(file)) throw new UsageError(`--json ${JSON.stringify(file)}: that is no file.`)
  if (isDirectory(dirname(resolve(file)))) return file
  throw new UsageError(`--json ${file}: there is no folder ${dirname(file)}.`)
}

/**
 * The folder that an option names.
 *
 * @throws {UsageError} when there is none.
 */
export function parseFolder(option: string, folder: string): string {
  if (isDirectory(folder)) return folder
  throw new UsageError(`${option} ${JSON.stringify(folder)}: there is no such folder.`)
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/**
 * What `--seed` says.
 *
 * @throws {UsageError} for anything but a whole number.
 */
export function parseSeed(text: string): number {
  const seed = Number(text)
  if (Number.isSafeInteger(seed) && seed >= 0 && text.trim() !== '') return seed
  throw new UsageError(`--seed must be a whole number from 0, got ${JSON.stringify(text)}.`)
}

/** Runs work that Ctrl-C and SIGTERM abort. Resolves with undefined if they did, when the work has cleaned up. */
export async function interruptible<Result extends NonNullable<unknown>>(
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result | undefined> {
  const interrupt = new AbortController()
  const abort = (): void => interrupt.abort()
  process.once('SIGINT', abort).once('SIGTERM', abort)
  try {
    return await work(interrupt.signal)
  } catch (error) {
    if (interrupt.signal.aborted) return undefined
    throw error
  } finally {
    process.off('SIGINT', abort).off('SIGTERM', abort)
  }
}
