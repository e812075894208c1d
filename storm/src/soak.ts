import { writeFile } from 'node:fs/promises'
import { interruptible, UsageError } from '@holdfast/test/support'
import { parseSoakOptions, SOAK_HELP, type SoakOptions } from './soak/options.ts'
import { renderSoakJson } from './soak/report/json.ts'
import { SoakProgress } from './soak/report/progress.ts'
import { renderSoakTable } from './soak/report/table.ts'
import { hasFailed, renderVerdicts } from './soak/report/verdicts.ts'
import { emptySoakRecord, type SoakRecord } from './soak/run/record.ts'
import { runSoak } from './soak/run/soak.ts'

const EXIT = { flat: 0, failed: 1, usage: 2, interrupted: 130 } as const

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseSoakOptions(args)
    if (options.wants === 'soak') return await soak(options)
    process.stdout.write(SOAK_HELP)
    return EXIT.flat
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\nnpm run soak -- --help says what there is.\n`)
    return EXIT.usage
  }
}

async function soak(options: SoakOptions): Promise<number> {
  // With numbers on standard output, nothing else may be written there.
  const out = options.json === '-' ? process.stderr : process.stdout
  const record = emptySoakRecord(options)
  const isDone = await run(record, out)
  await publish(record, options, out)
  if (!isDone) process.stderr.write('Called off; everything is cleaned up.\n')
  if (!isDone) return EXIT.interrupted
  return hasFailed(record) ? EXIT.failed : EXIT.flat
}

/** Whether it went on to its end: false if it was called off. */
async function run(record: SoakRecord, out: NodeJS.WriteStream): Promise<boolean> {
  using progress = new SoakProgress(out)
  const isDone = await interruptible(async (signal) => {
    await runSoak(record, progress, signal)
    return true
  })
  return isDone ?? false
}

async function publish(record: SoakRecord, { json }: SoakOptions, out: NodeJS.WriteStream): Promise<void> {
  out.write(`\n${renderSoakTable(record)}\n\n${errorsLine(record)}\nSeed ${record.seed}. ${record.server}.\n`)
  if (json === '-') process.stdout.write(renderSoakJson(record))
  else if (json !== undefined) await writeFile(json, renderSoakJson(record))
  out.write(`\n${renderVerdicts(record)}\n`)
}

/** What the callers saw: a soak without errors has not soaked anything. */
function errorsLine({ errors }: SoakRecord): string {
  const sorted = [...errors].toSorted(([, a], [, b]) => b - a)
  return `Errors that callers saw: ${sorted.map(([name, count]) => `${count} ${name}`).join(', ') || 'none'}.`
}
