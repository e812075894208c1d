import { measure, type Pool } from '@holdfast/core'
import type { Attributes, BatchObservableResult, Meter } from '@opentelemetry/api'

const PREFIX = 'db.client.connection'
const POOL_NAME = `${PREFIX}.pool.name`
const STATE = `${PREFIX}.state`

/** What is measured, as which metric. */
const DURATIONS = [
  { measured: 'create', metric: 'create_time', description: 'The time that it took to open a connection' },
  { measured: 'wait', metric: 'wait_time', description: 'The time that a caller has waited for a connection' },
  { measured: 'use', metric: 'use_time', description: 'The time that a caller has used a connection' },
] as const

/**
 * Gives the state of a pool to a meter of OpenTelemetry, under the names of its semantic conventions
 * (`db.client.connection.count`, `.idle.max`, `.idle.min`, `.max`, `.pending_requests`, `.timeouts`, `.create_time`, `.wait_time`,
 * `.use_time`), with the option `name` as `db.client.connection.pool.name`. It loads nothing of OpenTelemetry, and costs a pool
 * that isn't observed nothing.
 *
 * @param attributes are added to each measurement
 * @returns a function that ends it
 * @see https://opentelemetry.io/docs/specs/semconv/database/database-metrics/#connection-pools
 *
 * @example
 * ```ts
 * const stop = observe(pool, metrics.getMeter('orders'))
 * ```
 */
export function observe(pool: Pool, meter: Meter, attributes: Attributes = {}): () => void {
  const { name } = pool.stats()
  const ofPool = { ...attributes, [POOL_NAME]: name }
  const stops = [observeState(pool, meter, ofPool), recordDurations(pool, meter, ofPool)]
  return () => {
    for (const stop of stops.splice(0)) stop()
  }
}

/** What is read whenever the meter collects. */
function observeState(pool: Pool, meter: Meter, ofPool: Attributes): () => void {
  const number = (metric: string, description: string, unit: string) =>
    meter.createObservableUpDownCounter(`${PREFIX}.${metric}`, { description, unit })
  const count = number('count', 'Connections by state', '{connection}')
  const idleMax = number('idle.max', 'The largest number of idle connections', '{connection}')
  const idleMin = number('idle.min', 'The smallest number of idle connections', '{connection}')
  const max = number('max', 'The largest number of connections', '{connection}')
  const pending = number('pending_requests', 'Callers that wait for a connection', '{request}')
  const timeouts = meter.createObservableCounter(`${PREFIX}.timeouts`, {
    description: 'Callers that got no connection before their deadline',
    unit: '{timeout}',
  })
  const collect = (result: BatchObservableResult): void => {
    const status = pool.status()
    result.observe(count, status.idle + status.checking, { ...ofPool, [STATE]: 'idle' })
    result.observe(count, status.leased + status.resetting, { ...ofPool, [STATE]: 'used' })
    result.observe(idleMax, status.maxIdle, ofPool)
    result.observe(idleMin, pool.options.min ?? 0, ofPool)
    result.observe(max, status.max, ofPool)
    result.observe(pending, status.waiting, ofPool)
    result.observe(timeouts, pool.stats().acquires.timedOut, ofPool)
  }
  const observed = [count, idleMax, idleMin, max, pending, timeouts]
  meter.addBatchObservableCallback(collect, observed)
  return () => meter.removeBatchObservableCallback(collect, observed)
}

/** What is recorded when it happens. */
function recordDurations(pool: Pool, meter: Meter, ofPool: Attributes): () => void {
  const histograms = new Map(
    DURATIONS.map(({ measured, metric, description }) => {
      return [measured, meter.createHistogram(`${PREFIX}.${metric}`, { description, unit: 's' })] as const
    }),
  )
  return measure(pool, (measured, millis) => histograms.get(measured)?.record(millis / 1000, ofPool))
}
