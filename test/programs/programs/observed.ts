import { Pool, type PoolOptions } from '@holdfast/core'
import { observe } from '@holdfast/core/opentelemetry'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'

/** One measurement. */
export interface Point {
  readonly metric: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly value: number | { readonly count: number }
}

/** What was collected: while a caller waits, when all is over, and when the pool was no longer observed. */
export interface Observed {
  readonly during: readonly Point[]
  readonly after: readonly Point[]
  readonly stopped: readonly Point[]
  /** How many reads have shared a connection. */
  readonly multiplexed: number
}

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
const provider = new MeterProvider({ readers: [reader] })

async function collected(): Promise<Point[]> {
  exporter.reset()
  await provider.forceFlush()
  const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
  return metrics.flatMap(({ descriptor, dataPoints }) =>
    dataPoints.map(({ attributes, value }) => ({
      metric: descriptor.name,
      attributes,
      value: value as Point['value'],
    })),
  )
}

const options = JSON.parse(process.argv[2] as string) as PoolOptions
const pool = new Pool(options)
const stop = observe(pool, provider.getMeter('test'), { 'service.name': 'shop' })

const held = await pool.connect()
const other = await pool.connect()
const late = pool.connect().catch(() => {})
const during = await collected()
await late
held.release()
other.release()
const after = await collected()

const read = (): Promise<unknown> => pool.query('select $1::int as it', [1])
for (let warm = 0; warm < 20; warm++) await read()
await Promise.all(Array.from({ length: 20 }, read))
stop()
await pool.query('select 1')
const stopped = await collected()
const { multiplexed } = pool.stats().statements
await pool.end()
await provider.shutdown()
process.stdout.write(JSON.stringify({ during, after, stopped, multiplexed } satisfies Observed))
