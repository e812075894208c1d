import { isDeepStrictEqual } from 'node:util'
import type { PoolOptions } from '@holdfast/core'
import { Cluster, parseCommandLine, parseSeed, UsageError } from '../support/index.ts'
import { holdfastPayer, stockPayer } from './random/payers.ts'
import { renderReport } from './random/report.ts'
import { NOTHING_WRONG, run } from './random/run.ts'
import { CONDITIONS } from './single/conditions.ts'
import { FAULTS } from './single/faults.ts'
import { renderSingleReport, renderSum } from './single/report.ts'
import { NOTHING_WRONG as NO_WRITE_WRONG, runSingle, type SingleReport } from './single/run.ts'

const OPTIONS = {
  seeds: { type: 'string', default: '1' },
  seed: { type: 'string', default: '1' },
  transfers: { type: 'string', default: '2000' },
  writes: { type: 'string', default: '100000' },
  only: { type: 'string', default: '' },
  pipelined: { type: 'boolean', default: false },
  stock: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

const HELP = `Usage: npm run commits -- [options]

Makes transfers while everything breaks, COMMITs above all, and then single writes while their sessions end in every way that
the server knows. Holds what was told against what is written.

  --seeds <number>      how many runs (1)
  --seed <number>       the first one's seed (1); the others count up
  --transfers <number>  how many in each run (2000), or 0
  --writes <number>     how many single writes, over all conditions and faults (100000), or 0
  --only <words>        only those single writes whose condition or fault has these words
  --pipelined           has the single writes share four connections (pipelineWrites)
  --stock               with the pool of pg, run again as people do by hand
  --help                this

Exits with 0 if every answer was true, with 1 if one wasn't, with 2 if the command line makes no sense.
`

const PIPELINED: PoolOptions = { max: 4, pipelineWrites: true }

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const { help, stock, only, pipelined, ...numbers } = parseCommandLine(args, OPTIONS)
    if (help) process.stdout.write(HELP)
    if (help) return 0
    const [seed, seeds] = [parseSeed(numbers.seed), parseSeed(numbers.seeds)]
    const areTransfersTrue = await runTransfers(seed, seeds, parseSeed(numbers.transfers), stock)
    const areWritesTrue = await runWrites(seed, parseSeed(numbers.writes), only, pipelined ? PIPELINED : {})
    return areTransfersTrue && areWritesTrue ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\nnpm run commits -- --help says what there is.\n`)
    return 2
  }
}

async function runTransfers(first: number, seeds: number, count: number, stock: boolean): Promise<boolean> {
  if (count === 0) return true
  await using cluster = await Cluster.start()
  const payer = stock ? stockPayer : holdfastPayer
  let isTrue = true
  for (let seed = first; seed < first + seeds; seed++) {
    const report = await run(cluster, { seed, count, payer })
    process.stdout.write(`${renderReport(report)}\n`)
    isTrue &&= isDeepStrictEqual(report.wrong, NOTHING_WRONG)
  }
  return isTrue
}

async function runWrites(seed: number, writes: number, only: string, pool: PoolOptions): Promise<boolean> {
  const pairs = CONDITIONS.flatMap((condition) => FAULTS.map((fault) => ({ condition, fault }))).filter(
    ({ condition, fault }) => `${condition.name}, ${fault.name}`.includes(only),
  )
  if (writes === 0 || pairs.length === 0) return true
  const count = Math.ceil(writes / pairs.length)
  const reports: SingleReport[] = []
  for (const condition of CONDITIONS) {
    const faults = pairs.filter((pair) => pair.condition === condition).map(({ fault }) => fault)
    if (faults.length === 0) continue
    await using place = await condition.open()
    for (const fault of faults) {
      const report = await runSingle(place, { seed: seed + reports.length, count, fault, pool })
      process.stdout.write(`${renderSingleReport(`${condition.name}, ${fault.name}`, report)}\n`)
      reports.push(report)
    }
  }
  process.stdout.write(`${renderSum(reports)}\n`)
  return reports.every(({ wrong }) => isDeepStrictEqual(wrong, NO_WRITE_WRONG))
}
