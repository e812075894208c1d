import { register } from 'node:module'
import { type Attributes, type Meter, type MeterProvider, metrics } from '@opentelemetry/api'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { PgInstrumentation, type PgInstrumentationConfig } from '@opentelemetry/instrumentation-pg'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'

/** Loaded by `--import`, before the program: what OpenTelemetry's documentation calls `instrumentation.mjs`. */

const spans = new InMemorySpanExporter()
const sums = new Map<string, number>()

// Only what the instrumentation calls: it counts connections up and down.
const meter = {
  createHistogram: () => ({ record: () => {} }),
  createUpDownCounter: (name: string) => ({
    add(value: number, attributes: Attributes = {}) {
      const state = attributes['db.client.connection.state']
      const key = state === undefined ? name : `${name} ${state}`
      sums.set(key, (sums.get(key) ?? 0) + value)
    },
  }),
} as unknown as Meter

register('@opentelemetry/instrumentation/hook.mjs', import.meta.url)
const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
tracerProvider.register()
const meterProvider: MeterProvider = { getMeter: () => meter }
metrics.setGlobalMeterProvider(meterProvider)
const config = JSON.parse(process.env.PG_INSTRUMENTATION ?? '{}') as PgInstrumentationConfig
registerInstrumentations({ instrumentations: [new PgInstrumentation(config)], tracerProvider, meterProvider })

/** What was recorded so far. */
export { spans, sums }
