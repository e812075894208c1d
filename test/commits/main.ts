import { isDeepStrictEqual } from 'node:util'
import { Cluster, parseCommandLine, parseSeed, UsageError } from '../support/index.ts'
import { holdfastPayer, stockPayer } from './random/payers.ts'
import { renderReport } from './random/report.ts'
import { NOTHING_WRONG, run } from './random/run.ts'

const OPTIONS = {
  seeds: { type: 'string', default: '1' },
  seed: { type: 'string', default: '1' },
  transfers: { type: 'string', default: '2000' },
  stock: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

const HELP = `Usage: npm run commits -- [options]

Makes transfers while everything breaks, COMMITs above all, and holds what was told against what is written.

  --seeds <number>      how many runs (1)
  --seed <number>       the first one's seed (1); the others count up
  --transfers <number>  how many in each run (2000)
  --stock               with the pool of pg, run again as people do by hand
  --help                this

Exits with 0 if every answer was true, with 1 if one wasn't, with 2 if the command line makes no sense.
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const { help, stock, ...numbers } = parseCommandLine(args, OPTIONS)
    if (help) process.stdout.write(HELP)
    return help
      ? 0
      : await runAll(parseSeed(numbers.seed), parseSeed(numbers.seeds), parseSeed(numbers.transfers), stock)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\nnpm run commits -- --help says what there is.\n`)
    return 2
  }
}

async function runAll(first: number, seeds: number, count: number, stock: boolean): Promise<number> {
  await using cluster = await Cluster.start()
  const payer = stock ? stockPayer : holdfastPayer
  let isTrue = true
  for (let seed = first; seed < first + seeds; seed++) {
    const report = await run(cluster, { seed, count, payer })
    process.stdout.write(`${renderReport(report)}\n`)
    isTrue &&= isDeepStrictEqual(report.wrong, NOTHING_WRONG)
  }
  return isTrue ? 0 : 1
}
