import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { PgInstrumentationConfig } from '@opentelemetry/instrumentation-pg'
import { describe, expect } from 'vitest'
import { test } from '../faults/support/fault-test.ts'
import { settles } from '../faults/support/settling.ts'
import type { Cluster } from '../support/index.ts'
import type { Start, Telemetry } from './programs/traced.ts'

const INSTRUMENTATION = new URL('programs/telemetry.ts', import.meta.url).href
const PROGRAM = fileURLToPath(new URL('programs/traced.ts', import.meta.url))

/**
 * Runs the program in a process of its own, in which the instrumentation is loaded before anything else, and ends its
 * session when it asks for it. Its pool has one connection, and Holdfast pings before every lease: whatever it says
 * to the server by itself would be seen.
 */
async function telemetryOf(
  library: Start['library'],
  cluster: Cluster,
  config: PgInstrumentationConfig = {},
): Promise<Telemetry> {
  const prePing = library === 'holdfast' ? { prePing: { idleMillis: 0 } } : {}
  const start: Start = { library, options: cluster.config({ max: 1, ...prePing }) }
  const child = fork(PROGRAM, [JSON.stringify(start)], {
    execArgv: ['--experimental-strip-types', '--no-warnings', '--import', INSTRUMENTATION],
    env: { ...process.env, PG_INSTRUMENTATION: JSON.stringify(config) },
  })
  const exited = once(child, 'exit')
  try {
    const ended = exited.then(([code]): never => {
      throw new Error(`The program ended with code ${code}`)
    })
    ended.catch(() => {})
    const says = async (): Promise<unknown> => (await Promise.race([once(child, 'message'), ended]))[0]
    const { kill: pid } = (await settles(says(), 'the program')) as { kill: number }
    await cluster.terminateBackends({ pid })
    child.send('done')
    return (await settles(says(), 'the telemetry')) as Telemetry
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

/** What the two libraries give rise to. */
function both(cluster: Cluster, config?: PgInstrumentationConfig): Promise<[Telemetry, Telemetry]> {
  return Promise.all([telemetryOf('stock', cluster, config), telemetryOf('holdfast', cluster, config)])
}

describe('OpenTelemetry', () => {
  test('OpenTelemetry records the spans that it records of pg.Pool', async ({ cluster }) => {
    const [stock, holdfast] = await both(cluster)
    expect(stock.spans['pool.query']?.map(({ name }) => name)).toEqual([
      'pg-pool.connect',
      'pg.query:SELECT postgres',
      'pool.query',
    ])
    expect(holdfast.spans).toEqual(stock.spans)
  })

  test('OpenTelemetry records the values of statements when asked to, as of pg.Pool', async ({ cluster }) => {
    const [stock, holdfast] = await both(cluster, { enhancedDatabaseReporting: true })
    expect(stock.spans['pool.query']?.[1]?.attributes).toMatchObject({ 'db.postgresql.values': ['1'] })
    expect(holdfast.spans).toEqual(stock.spans)
  })

  test('OpenTelemetry records nothing without a parent when asked to, as of pg.Pool', async ({ cluster }) => {
    const [stock, holdfast] = await both(cluster, { requireParentSpan: true })
    expect(stock.spans['without a parent']).toEqual([])
    expect(holdfast.spans).toEqual(stock.spans)
  })

  test('OpenTelemetry writes the trace into statements when asked to, as for pg.Pool', async ({ cluster }) => {
    const [stock, holdfast] = await both(cluster, { addSqlCommenterCommentToQueries: true })
    for (const { arrived } of [stock, holdfast]) expect(arrived).toMatch(/pg_backend_pid\(\) ?\/\*traceparent='00-/)
    expect(holdfast.spans).toEqual(stock.spans)
  })

  test('OpenTelemetry names the session after the trace when asked to, as for pg.Pool', async ({ cluster }) => {
    const [stock, holdfast] = await both(cluster, { enableTraceContextPropagation: true })
    expect(holdfast.spans).toEqual(stock.spans)
  })

  test('OpenTelemetry counts the connections of the pool', async ({ cluster }) => {
    const [stock, holdfast] = await both(cluster)
    expect(stock.sumsWhileOpen).toMatchObject({
      'db.client.connection.count idle': 0,
      'db.client.connection.count used': 1,
      'db.client.connection.max': 1,
      'db.client.connection.pending_requests': 0,
    })
    expect(holdfast.sumsWhileOpen).toEqual(stock.sumsWhileOpen)
    expect(stock.sumsAfterEnd).toMatchObject({ 'db.client.connection.max': 0 })
    expect(holdfast.sumsAfterEnd).toMatchObject({ 'db.client.connection.max': 0 })
  })
})
