import { Pool, type PoolOptions } from '@holdfast/core'
import pg from 'pg'
import { frozen } from './frozen.ts'

/** The program that `Application` starts: uses a pool as its parent says, and sets no listener of its own. */

/** With what to begin. */
export interface Start {
  readonly library: 'stock' | 'holdfast'
  readonly options: PoolOptions
}

/** What to do. */
export interface Order {
  readonly order: number
  readonly act:
    | 'greet'
    | 'listen'
    | 'query'
    | 'connect'
    | 'client.query'
    | 'release'
    | 'end'
    | 'drain'
    | 'counts'
    | 'prepare for thaw'
    | 'results of thaw'
  readonly client?: string
  readonly text?: string
  readonly millis?: number
  readonly statements?: readonly string[]
}

/** What came of it. */
export interface Answer {
  readonly order: number
  readonly value?: unknown
  readonly error?: ReportedError
}

/** An error, fit for a message. */
export interface ReportedError {
  readonly name: string
  readonly message: string
  readonly code?: unknown
  readonly phase?: unknown
  readonly sent?: unknown
  readonly commitOutcome?: unknown
  readonly cause?: ReportedError
}

const { library, options } = JSON.parse(process.argv[2] ?? '') as Start
const pool: pg.Pool = library === 'stock' ? new pg.Pool(options as pg.PoolConfig) : new Pool(options)
const clients = new Map<string, pg.PoolClient>()
let resultsOfThaw: Promise<unknown> | undefined

async function obey({ act, client: name = '', text = '', millis = 0, statements = [] }: Order): Promise<unknown> {
  switch (act) {
    case 'greet':
      return undefined
    case 'listen':
      pool.on('error', () => {})
      return undefined
    case 'query':
      return (await pool.query(text)).rows
    case 'connect':
      clients.set(name, await pool.connect())
      return undefined
    case 'client.query':
      return (await clients.get(name)?.query(text))?.rows
    case 'release':
      return clients.get(name)?.release()
    case 'end':
      return pool.end()
    case 'drain':
      return (pool as Pool).drain(millis)
    case 'counts':
      return { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }
    case 'prepare for thaw':
      resultsOfThaw = frozen().then(() => Promise.all(statements.map(outcome)))
      return undefined
    case 'results of thaw':
      return resultsOfThaw
  }
}

async function outcome(statement: string): Promise<unknown> {
  try {
    return (await pool.query(statement)).rows
  } catch (error) {
    return report(error)
  }
}

function report(error: unknown): ReportedError {
  const { name, message, cause } = error as Error
  const { code, phase, sent, commitOutcome } = error as Partial<Record<string, unknown>>
  const facts = { name, message, code, phase, sent, commitOutcome }
  return cause === undefined ? facts : { ...facts, cause: report(cause) }
}

process.on('message', (order: Order) => {
  obey(order).then(
    (value) => process.send?.({ order: order.order, value } satisfies Answer),
    (error: unknown) => process.send?.({ order: order.order, error: report(error) } satisfies Answer),
  )
})
