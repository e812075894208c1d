import { once } from 'node:events'
import { Pool, type PoolOptions } from '@holdfast/core'
import { trace } from '@opentelemetry/api'
import pg from 'pg'
import { until } from '../../support/until.ts'
import { spans, sums } from './telemetry.ts'

/** The traced program: uses a pool in every way, and reports what OpenTelemetry recorded. */

/** With what to begin. */
export interface Start {
  readonly library: 'stock' | 'holdfast'
  readonly options: PoolOptions
}

/** A span, as far as it is the same in every run. */
export interface Recorded {
  readonly name: string
  readonly parent: string | undefined
  readonly attributes: Record<string, unknown>
  readonly error: string | undefined
}

/** What OpenTelemetry recorded. */
export interface Telemetry {
  /** By what the program was doing: the children of each span in the order in which they ended. */
  readonly spans: Record<string, Recorded[]>
  /** A statement, as the server got it. */
  readonly arrived: string
  readonly sumsWhileOpen: Record<string, number>
  readonly sumsAfterEnd: Record<string, number>
}

const { library, options } = JSON.parse(process.argv[2] ?? '') as Start
const pool: pg.Pool = library === 'stock' ? new pg.Pool(options as pg.PoolConfig) : new Pool(options)
const tracer = trace.getTracer('the program')
const recorded: Telemetry['spans'] = {}

/** Runs a part of the program under a span of its own. */
function under<T>(name: string, part: () => Promise<T>): Promise<T> {
  return tracer.startActiveSpan(name, (span) => part().finally(() => span.end()))
}

async function record(name: string, part: () => Promise<unknown>): Promise<void> {
  spans.reset()
  await part()
  const finished = spans.getFinishedSpans()
  const names = new Map(finished.map((span) => [span.spanContext().spanId, span.name]))
  const told = finished.map(({ name, parentSpanContext, attributes, status }) => ({
    name,
    parent: parentSpanContext && names.get(parentSpanContext.spanId),
    attributes: { ...attributes },
    error: status.message,
  }))
  // How the spans of several callers interleave is not defined.
  recorded[name] = told.toSorted((one, other) => compare(one.parent ?? one.name, other.parent ?? other.name))
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other)
}

function single(name: string, part: () => Promise<unknown>): Promise<void> {
  return record(name, () => under(name, part))
}

await single('the first pool.query', () => pool.query('select 1'))
await single('pool.query', () => pool.query('select $1::int', [1]))
await single('a named pool.query', () => pool.query({ name: 'plan', text: 'select $1::int', values: [1] }))
await single('pool.query with a callback', () => new Promise((resolve) => pool.query('select 1', resolve)))
// By a client: after pool.query, stock pg.Pool closes the connection.
await single('an SQL error', async () => {
  const client = await pool.connect()
  await client.query('slect').catch(() => {})
  client.release()
})
await single('pool.connect', async () => {
  const client = await pool.connect()
  await client.query('select 1')
  client.release()
})
await single(
  'pool.connect with a callback',
  () =>
    new Promise<void>((resolve) => {
      pool.connect((_error, client, release) => {
        client?.query('select 1', () => {
          release()
          resolve()
        })
      })
    }),
)
await single('a transaction', async () => {
  const client = await pool.connect()
  for (const statement of ['begin', 'select 1', 'commit']) await client.query(statement)
  client.release()
})
await single('a transaction left open', async () => {
  const client = await pool.connect()
  await client.query('begin')
  client.release()
  await pool.query('rollback')
})
await record('callers in line', () =>
  Promise.all(['a', 'b', 'c'].map((name) => under(name, () => pool.query(`select '${name}'`)))),
)
await record('without a parent', () => pool.query('select 1'))
const { rows } = await under('the text', () =>
  pool.query<{ pid: number; query: string }>('select pid, query from pg_stat_activity where pid = pg_backend_pid()'),
)
const { pid, query: arrived } = rows[0] as { pid: number; query: string }
pool.on('error', () => {})
process.send?.({ kill: pid })
await once(process, 'message')
await until(() => pool.totalCount === 0)
await single('after the sessions were killed', () => pool.query('select 1'))
const client = await pool.connect()
const sumsWhileOpen = Object.fromEntries(sums)
client.release()
await pool.end()
const telemetry: Telemetry = { spans: recorded, arrived, sumsWhileOpen, sumsAfterEnd: Object.fromEntries(sums) }
process.send?.(telemetry)
process.disconnect()
