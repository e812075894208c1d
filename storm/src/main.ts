import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { styleText } from 'node:util'
import { interruptible, UsageError } from '@holdfast/test/support'
import { UnusableServer } from './ground/external.ts'
import { HELP, listText, type Options, parseOptions } from './options.ts'
import { renderAccount } from './report/account.ts'
import { renderJson } from './report/json.ts'
import { renderPage } from './report/page.ts'
import { Progress } from './report/progress.ts'
import { renderLegend, renderTable, wrapped } from './report/table.ts'
import { doubt, HELD, hasVerdict, violations } from './results/verdict.ts'
import type { StormRecord } from './run/record.ts'
import { runStorm } from './run/storm.ts'

const EXIT = { held: 0, failed: 1, usage: 2, interrupted: 130 } as const

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args)
    if (options.wants === 'help') return print(HELP)
    if (options.wants === 'list') return print(listText())
    return await storm(options)
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof UnusableServer)) throw error
    process.stderr.write(`${error.message}\nnpm start -- --help says what there is.\n`)
    return EXIT.usage
  }
}

async function storm(options: Options): Promise<number> {
  // With numbers on standard output, nothing else may be written there.
  const out = options.json === '-' ? process.stderr : process.stdout
  const code = await interruptible(async (signal) => {
    const record = await run(options, out, signal)
    await publish(record, options, out)
    return violations(record).length > 0 ? EXIT.failed : EXIT.held
  })
  if (code === undefined) process.stderr.write('Called off; everything is cleaned up.\n')
  return code ?? EXIT.interrupted
}

async function run(options: Options, out: NodeJS.WriteStream, signal: AbortSignal): Promise<StormRecord> {
  using progress = new Progress(out, options)
  return await runStorm(options, progress, signal)
}

async function publish(record: StormRecord, options: Options, out: NodeJS.WriteStream): Promise<void> {
  out.write(`\n${renderTable(record)}\n\n${renderLegend(record)}\n\n${renderAccount(record)}\n`)
  await writeFile(options.report, await renderPage(record))
  out.write(`\nThe timeline of each run is in ${resolve(options.report)}. Seed ${record.seed}.\n`)
  if (options.json === '-') process.stdout.write(renderJson(record))
  else if (options.json !== undefined) await writeFile(options.json, renderJson(record))
  const doubtful = doubt(record)
  if (doubtful !== undefined) out.write(`\n${wrapped(styleText('yellow', doubtful))}\n`)
  if (hasVerdict(record)) out.write(`\n${verdict(record)}\n`)
}

/** The last line of the output: many users read only this one. */
function verdict(record: StormRecord): string {
  const found = violations(record)
  if (found.length === 0) return wrapped(styleText('bold', HELD))
  return styleText('red', ['Holdfast did not hold:', ...found.map((violation) => `  ${violation}`)].join('\n'))
}

function print(text: string): number {
  process.stdout.write(text)
  return EXIT.held
}
