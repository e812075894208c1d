import { expect, test } from 'vitest'
import { lineWriter } from '../../../packages/core/src/telemetry/log-line.ts'
import { sample } from './sample-events.ts'

function logging<Kind extends object>(kind: Kind) {
  const written: unknown[][] = []
  const write = (...all: unknown[]): void => void written.push(all)
  return { written, logger: { ...kind, debug: write, info: write, warn: write, error: write } as never }
}

const WARNING = { text: 'Something is wrong', code: 'HOLDFAST_SOMETHING', detail: '    at handler (app.ts:1:2)' }

test('a logger of texts gets one text, with the pool and the code in front', () => {
  const { written, logger } = logging({})
  lineWriter(logger, 'orders')('warn', WARNING, sample('connection-lost'))
  const text = `[holdfast:orders ${process.pid}] HOLDFAST_SOMETHING: Something is wrong\n    at handler (app.ts:1:2)`
  expect(written).toEqual([[text]])
})

test.each([
  ['says so', { structured: true }],
  ['is one of pino', { bindings: () => ({}), child: () => ({}) }],
])('a logger that %s gets fields and the text', (_what, kind) => {
  const { written, logger } = logging(kind)
  const write = lineWriter(logger, 'orders')
  write('warn', WARNING, sample('connection-lost'))
  write('info', { text: 'Pool closed' }, sample('pool-closed'))
  const { code, detail, text } = WARNING
  expect(written).toEqual([
    [{ pool: 'orders', event: 'connection-lost', connection: 3, backend: 1234, code, detail }, text],
    [{ pool: 'orders', event: 'pool-closed' }, 'Pool closed'],
  ])
})
