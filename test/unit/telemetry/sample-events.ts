import type { PoolEvent, PoolEventType } from '../../../packages/core/src/telemetry/events.ts'

type Samples = { readonly [Type in PoolEventType]: Omit<Extract<PoolEvent, { type: Type }>, 'type'> }

/** The third connection of a pool. */
export const connection = { id: 3, backendPid: 1234, client: undefined as never }

const loss = {
  cause: new Error('Connection terminated unexpectedly'),
  phase: 'idle',
  commitOutcome: 'aborted',
} as const

/** One event of each kind: complete, since the compiler says so. */
const SAMPLES: Samples = {
  'connection-opened': { connection, tookMillis: 12.3 },
  'connect-failed': { error: refused(), openCount: 0 },
  'connection-pinged': { connection, tookMillis: 0.8 },
  'connection-leased': { connection, waitedMillis: 0 },
  'acquire-failed': { error: new Error('timeout exceeded when trying to connect'), waitedMillis: 300 },
  'connection-leak-suspected': {
    connection,
    heldMillis: 5000,
    stack: 'Error\n    at handler (app.ts:1:2)\n    at serve (app.ts:3:4)',
    label: undefined,
    statement: undefined,
    transaction: undefined,
  },
  'connection-released': { connection, heldMillis: 7.4, discard: undefined, wasOverdue: false },
  'connection-reset': { connection, by: 'ROLLBACK', tookMillis: 1.2 },
  'connection-lost': { connection, loss, wasLeased: false, wasPinged: false },
  'connection-declared-dead': { connection, verdict: 'answer-lost', state: 'idle', silentMillis: 803.2 },
  'watch-limited': { reason: 'not-direct' },
  'connection-retired': { connection, reason: 'expired', cause: undefined },
  'connection-closed': { connection },
  'pool-invalidated': { generation: 2, cause: loss.cause, wasAsked: false },
  'pool-disposed': { generation: 2 },
  'process-suspended': {},
  'process-changed': { from: 17, to: 18 },
  'transaction-left-open': {},
  'capacity-exceeded': { max: 10, workers: 4, available: 30 },
  'budget-unanswered': { budget: 'shop', error: new Error('refused'), openCount: 3 },
  'pool-overloaded': { waiting: 40, targetMillis: 50 },
  'host-changed': { from: { host: 'h1', port: 5432 }, to: { host: 'h2', port: 5433 }, role: 'primary' },
  'pooler-found': { pooler: 'some', by: 'process', option: 'none' },
  'session-needed': { need: 'listen' },
  'former-primary': { host: { host: 'h1', port: 5432 }, timeline: '00000001', highest: '00000002' },
  'standby-refused-write': { host: { host: 'h2', port: 5433 } },
  recovered: { afterMillis: 4321, failedAttempts: 12 },
  'transaction-retried': { attempt: 2, error: conflict(), pausedMillis: 57.2 },
  'statement-retried': { attempt: 2, error: loss.cause, pausedMillis: 57.2, reason: 'idempotent' },
  'prepare-stopped': { reason: 'slower', text: 'select $1', namedMillis: 41.2, unnamedMillis: 3.4 },
  'commit-resolved': { connection, verdict: 'committed', reason: undefined, tookMillis: 31.4 },
  'listening-lost': { channels: 2, cause: new Error('Connection terminated unexpectedly') },
  'listening-again': { channels: 1, gapMillis: 1234 },
  'session-fenced': { backendPid: 1234, tookMillis: 260.1 },
  'pool-closed': {},
}

/** Every kind of event. */
export const TYPES = Object.keys(SAMPLES) as PoolEventType[]

/** An event as the engine publishes it, except for these facts. */
export function sample<Type extends PoolEventType>(
  type: Type,
  facts: Partial<Samples[Type]> = {},
): Extract<PoolEvent, { type: Type }> {
  return { type, ...SAMPLES[type], ...facts } as unknown as Extract<PoolEvent, { type: Type }>
}

/** What comes of two transactions that can't be serialized. */
function conflict(): Error & { code: string } {
  return Object.assign(new Error('could not serialize access due to concurrent update'), { code: '40001' })
}

/** What comes of a wrong port. */
export function refused(): Error & { code: string } {
  return Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5433'), { code: 'ECONNREFUSED' })
}
