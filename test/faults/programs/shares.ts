import { setTimeout as sleep } from 'node:timers/promises'
import { Pool, type PoolOptions } from '@holdfast/core'

/** A process of a service that shares a budget. Reports again and again how many answers it has got. */

/** With what to begin. */
export interface Sharer {
  readonly options: PoolOptions
  /** How many callers ask all the time, until SIGTERM. */
  readonly callers: number
  /** What they ask. */
  readonly statement: string
}

/** What it reports. */
export interface Shared {
  readonly answers: number
  /** Every error of a caller, and every warning. */
  readonly errors: readonly string[]
}

const REPORT_MILLIS = 20
const DRAIN_MILLIS = 10_000

const { options, callers, statement } = JSON.parse(process.argv[2] ?? '') as Sharer
const pool = new Pool(options)
const errors: string[] = []
let answers = 0
let isStopping = false

async function call(): Promise<void> {
  while (!isStopping) {
    try {
      await pool.query(statement)
      answers++
    } catch (error) {
      errors.push(String(error))
      await sleep(REPORT_MILLIS)
    }
  }
}

function report(): void {
  process.send?.({ answers, errors } satisfies Shared)
}

process.on('SIGTERM', () => {
  isStopping = true
})
process.on('warning', (warning) => errors.push(String(warning)))
const reports = setInterval(report, REPORT_MILLIS)
await Promise.all(Array.from({ length: callers }, call))
await pool.drain(DRAIN_MILLIS)
await pool.end()
clearInterval(reports)
report()
process.disconnect?.()
