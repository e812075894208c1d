import type { PoolOptions } from '@holdfast/core'
import { frozen } from '../../faults/programs/frozen.ts'
import { deferred } from '../../support/deferred.ts'
import type { Database, Row, Subject } from '../subject.ts'

/** The program that `Service` starts. It uses a subject as its parent orders, and sets no listener of its own. */

/** The argument of the program. */
export interface Start {
  /** The URL of the file that exports the subject. */
  readonly module: string
  readonly options: PoolOptions
}

/** A message from the parent. */
export interface Order {
  readonly order: number
  readonly act:
    | 'open'
    | 'run'
    | 'hold'
    | 'go on'
    | 'warm up'
    | 'prepare for thaw'
    | 'results of thaw'
    | 'counts'
    | 'close'
  readonly sql?: string
  readonly count?: number
  readonly statements?: readonly string[]
}

/** The answer to an order. */
export interface Answer {
  readonly order: number
  readonly value?: unknown
  /** The error and its causes, as plain objects. */
  readonly causes?: readonly Record<string, unknown>[]
}

const { module, options } = JSON.parse(process.argv[2] ?? '') as Start
const { subject } = (await import(module)) as { readonly subject: Subject }
let database: Database
let goOn: (sql: string) => void
let held: Promise<readonly Row[]>
let resultsOfThaw: Promise<unknown>

async function obey({ act, sql = '', count = 1, statements = [] }: Order): Promise<unknown> {
  switch (act) {
    case 'open':
      database = await subject.open(options)
      return undefined
    case 'run':
      return database.run(sql)
    case 'hold':
      return hold()
    case 'go on':
      goOn(sql)
      return held
    case 'warm up':
      return warmUp(count)
    case 'prepare for thaw':
      resultsOfThaw = frozen().then(() => Promise.all(statements.map((each) => database.run(each))))
      resultsOfThaw.catch(() => {})
      return undefined
    case 'results of thaw':
      return resultsOfThaw
    case 'counts':
      return [database.pool.totalCount, database.pool.idleCount, database.pool.waitingCount]
    case 'close':
      return database[Symbol.asyncDispose]()
  }
}

/** Resolves when the transaction's callback runs. */
async function hold(): Promise<void> {
  const { promise: next, resolve } = deferred<string>()
  goOn = resolve
  const { promise: begun, resolve: tellBegun } = deferred<void>()
  held = database.transaction(
    async (tx) => {
      await tx.run('select 1')
      tellBegun()
      return tx.run(await next)
    },
    subject.retries ? { retry: false } : {},
  )
  held.catch(() => {})
  await Promise.race([begun, held])
}

async function warmUp(count: number): Promise<void> {
  let arrived = 0
  const { promise: all, resolve } = deferred<void>()
  const one = (): Promise<void> =>
    database.transaction(async (tx) => {
      await tx.run('select 1')
      if (++arrived === count) resolve()
      await all
    })
  await Promise.all(Array.from({ length: count }, one))
}

function causesOf(error: unknown): Record<string, unknown>[] {
  if (typeof error !== 'object' || error === null) return []
  const { name, message, code, phase, sent, commitOutcome, cause, driverError } = error as Record<string, unknown>
  return [{ name, message, code, phase, sent, commitOutcome }, ...causesOf(driverError ?? cause)]
}

process.on('message', (order: Order) => {
  obey(order).then(
    (value) => process.send?.({ order: order.order, value } satisfies Answer),
    (error: unknown) => process.send?.({ order: order.order, causes: causesOf(error) } satisfies Answer),
  )
})
