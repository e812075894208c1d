#!/usr/bin/env node
import { systemClock } from '../runtime/clock.ts'
import { codeOf, messageOf } from '../thrown.ts'
import { readCommandLine, USAGE, UsageError } from './command-line.ts'
import { examine } from './doctor.ts'
import { tableOf } from './table.ts'

const FAILED = 1
const MISUSED = 2
/** As a shell counts a process that SIGINT has ended. */
const INTERRUPTED = 130

/** The command `holdfast`. Returns its exit code. */
async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  try {
    const request = readCommandLine(args, process.env)
    if (request.help) {
      process.stdout.write(USAGE)
      return 0
    }
    const diagnosis = await examine(request, systemClock, signal)
    const inColour = process.stdout.isTTY === true && !process.env.NO_COLOR
    process.stdout.write(request.isJson ? `${JSON.stringify(diagnosis, null, 2)}\n` : tableOf(diagnosis, inColour))
    return diagnosis.status === 'fail' ? FAILED : 0
  } catch (error) {
    if (signal.aborted) return INTERRUPTED
    if (!(error instanceof UsageError) && codeOf(error) !== 'HOLDFAST_INVALID_OPTION') throw error
    process.stderr.write(`${messageOf(error)}\nSee \`holdfast --help\`.\n`)
    return MISUSED
  }
}

const controller = new AbortController()
const interrupt = (): void => controller.abort(new Error('interrupted'))
process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
process.exitCode = await main(process.argv.slice(2), controller.signal)
process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
