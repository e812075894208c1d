import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { interruptible, UsageError } from '@holdfast/test/support'
import { BENCHMARKS } from './benchmarks/index.ts'
import { SCALES } from './benchmarks/scale.ts'
import { helpText, type Options, parseOptions } from './options.ts'
import { runOverload } from './overload/overload.ts'
import { renderJson } from './report/json.ts'
import { outcomesOf, overloadPicture } from './report/overload-picture.ts'
import { Progress } from './report/progress.ts'
import { scalePicture } from './report/scale-picture.ts'
import { renderLegend, renderTable } from './report/table.ts'
import { type MetricResult, missesGoal } from './results/contest-result.ts'
import { runBench } from './run/bench.ts'

const EXIT = { done: 0, missed: 1, usage: 2, interrupted: 130 } as const

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args, BENCHMARKS)
    if (options.wants === 'bench') return await bench(options)
    process.stdout.write(helpText(BENCHMARKS))
    return EXIT.done
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\nnpm run bench -- --help says what there is.\n`)
    return EXIT.usage
  }
}

async function bench(options: Options): Promise<number> {
  const code = await interruptible(async (signal) => {
    if (options.overload !== undefined) return await showOverload(options.overload, signal)
    const results = await run(options, signal)
    await publish(results, options)
    return options.check && results.some(missesGoal) ? EXIT.missed : EXIT.done
  })
  if (code === undefined) process.stderr.write('Called off; everything is cleaned up.\n')
  return code ?? EXIT.interrupted
}

/** Shows an overload in a picture, and in a line for each pool. */
async function showOverload(folder: string, signal: AbortSignal): Promise<number> {
  const results = await runOverload(signal)
  for (const result of results) {
    const told = Object.entries(outcomesOf(result)).map(([outcome, count]) => `${count} ${outcome}`)
    process.stdout.write(`${result.pool}: ${told.join(', ')}\n`)
  }
  await writeFile(join(folder, 'overload.svg'), overloadPicture(results))
  return EXIT.done
}

async function run(options: Options, signal: AbortSignal): Promise<MetricResult[]> {
  using progress = new Progress(process.stderr)
  const benchmarks = options.scale === undefined ? options.benchmarks : Object.values(SCALES)
  return await runBench({ ...options, benchmarks }, progress, signal)
}

async function publish(results: readonly MetricResult[], { json, pace, scale }: Options): Promise<void> {
  // With numbers on standard output, nothing else may be written there.
  const out = json === '-' ? process.stderr : process.stdout
  out.write(`\n${renderTable(results)}\n${renderLegend()}\n`)
  if (json === '-') process.stdout.write(renderJson(results, pace))
  else if (json !== undefined) await writeFile(json, renderJson(results, pace))
  if (scale !== undefined) await drawInto(scale, results)
}

async function drawInto(folder: string, results: readonly MetricResult[]): Promise<void> {
  for (const [growing, { name }] of Object.entries(SCALES)) {
    const drawn = scalePicture(results.filter(({ benchmark }) => benchmark === name))
    await writeFile(join(folder, `scale-${growing}.svg`), drawn)
  }
}
