import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { styleText } from 'node:util'
import { interruptible, UsageError } from '@holdfast/test/support'
import { askForOrm } from './ask.ts'
import { UnusableServer } from './ground/external.ts'
import { HELP, listText, type Options, parseOptions } from './options.ts'
import { renderAccount } from './report/account.ts'
import { renderJson } from './report/json.ts'
import { renderPage } from './report/page.ts'
import { Progress } from './report/progress.ts'
import { renderLegend, renderTable, wrapped } from './report/table.ts'
import { doubt, hasVerdict, verdict, violations } from './results/verdict.ts'
import type { StormRecord } from './run/record.ts'
import { runStorm } from './run/storm.ts'
import { selectShort } from './selection.ts'

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

async function storm(given: Options): Promise<number> {
  // With numbers on standard output, nothing else may be written there.
  const out = given.json === '-' ? process.stderr : process.stdout
  const options = given.mayAsk && isTerminal(out) ? await withOrmAsked(given, out) : given
  const code = await interruptible(async (signal) => {
    const record = await run(options, out, signal)
    await publish(record, options, out)
    return violations(record).length > 0 ? EXIT.failed : EXIT.held
  })
  if (code === undefined) process.stderr.write('Called off; everything is cleaned up.\n')
  return code ?? EXIT.interrupted
}

function isTerminal(out: NodeJS.WriteStream): boolean {
  return process.stdin.isTTY === true && out.isTTY && process.env.CI === undefined
}

async function withOrmAsked(options: Options, out: NodeJS.WriteStream): Promise<Options> {
  const orm = await askForOrm(process.stdin, out)
  return { ...options, ...selectShort(orm, options.databaseUrl !== undefined) }
}

async function run(options: Options, out: NodeJS.WriteStream, signal: AbortSignal): Promise<StormRecord> {
  using progress = new Progress(out, options)
  return await runStorm(options, progress, signal)
}

/** The table, the verdict and the page come last, since a terminal shows the end. */
async function publish(record: StormRecord, options: Options, out: NodeJS.WriteStream): Promise<void> {
  await writeFile(options.report, await renderPage(record))
  out.write(`\n${renderAccount(record)}\n\n${renderLegend(record)}\n`)
  if (options.json === '-') process.stdout.write(renderJson(record))
  else if (options.json !== undefined) await writeFile(options.json, renderJson(record))
  const doubtful = doubt(record)
  if (doubtful !== undefined) out.write(`\n${wrapped(styleText('yellow', doubtful))}\n`)
  const found = violations(record)
  if (found.length > 0) out.write(`\n${styleText('red', ['What went wrong:', ...found].join('\n  '))}\n`)
  out.write(`\n${renderTable(record)}\n`)
  // Many users read only this sentence.
  if (hasVerdict(record)) out.write(`\n${wrapped(styleText(found.length > 0 ? 'red' : 'bold', verdict(record)))}\n`)
  out.write(`\nThe timeline of each run is in ${resolve(options.report)}. Seed ${record.seed}.\n`)
}

function print(text: string): number {
  process.stdout.write(text)
  return EXIT.held
}
