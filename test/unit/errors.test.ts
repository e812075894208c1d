import { describe, expect, test } from 'vitest'
import {
  ConnectError,
  ConnectionLostError,
  HoldfastError,
  OptionsError,
  PoolClosedError,
  PoolTimeoutError,
  ReleaseError,
  TransactionStateError,
} from '../../packages/core/src/errors.ts'
import { messageOf } from '../../packages/core/src/thrown.ts'
import { serverError, systemError } from '../support/fake-client.ts'

const endpoint = { host: 'db.example', port: 5432, database: 'app' }
const refused = systemError('ECONNREFUSED')
const odd = new Error('odd')
const lost = (cause: unknown) => new ConnectionLostError({ cause, phase: 'idle', commitOutcome: 'aborted' }, false)
const timedOut = (cause: unknown) =>
  new PoolTimeoutError(
    {
      waitedMillis: 1,
      max: 1,
      leased: 1,
      idle: 0,
      opening: 0,
      checking: 0,
      resetting: 0,
      waiting: 0,
      longestLease: undefined,
    },
    cause,
  )

test.each([
  { error: timedOut(refused), name: 'PoolTimeoutError', code: 'HOLDFAST_POOL_TIMEOUT', cause: refused },
  { error: timedOut(undefined), name: 'PoolTimeoutError', code: 'HOLDFAST_POOL_TIMEOUT', cause: undefined },
  { error: new PoolClosedError(), name: 'PoolClosedError', code: 'HOLDFAST_POOL_CLOSED', cause: undefined },
  { error: new OptionsError(['x']), name: 'OptionsError', code: 'HOLDFAST_INVALID_OPTION', cause: undefined },
  { error: new ReleaseError('x'), name: 'ReleaseError', code: 'HOLDFAST_RELEASED', cause: undefined },
  {
    error: new TransactionStateError('x'),
    name: 'TransactionStateError',
    code: 'HOLDFAST_TRANSACTION_STATE',
    cause: undefined,
  },
  { error: new ConnectError(endpoint, refused), name: 'ConnectError', code: 'ECONNREFUSED', cause: refused },
  { error: new ConnectError(endpoint, odd), name: 'ConnectError', code: '08001', cause: odd },
  {
    error: lost(serverError('57P01', 'x')),
    name: 'ConnectionLostError',
    code: '57P01',
    cause: serverError('57P01', 'x'),
  },
  { error: lost(odd), name: 'ConnectionLostError', code: '08006', cause: odd },
])('$name has the code $code, and its cause', ({ error, name, code, cause }) => {
  expect(error).toBeInstanceOf(HoldfastError)
  expect(error.name).toBe(name)
  expect(error.constructor.name).toBe(name)
  expect(error.code).toBe(code)
  expect(error.cause).toEqual(cause)
  expect(Object.keys(error)).not.toContain('name')
  expect(error.stack).toMatch(new RegExp(`^${name}: `))
})

describe('the message', () => {
  test('the message of a failed connect names host, port and database', () => {
    expect(new ConnectError(endpoint, refused).message).toBe(
      'connect ECONNREFUSED 127.0.0.1:5432 (connecting to db.example:5432, database app)',
    )
  })

  test('the message of several failed addresses names each, since Node leaves it empty', () => {
    const both = new AggregateError([new Error('connect ECONNREFUSED ::1:5432'), refused])
    expect(messageOf(both)).toBe('connect ECONNREFUSED ::1:5432, connect ECONNREFUSED 127.0.0.1:5432')
  })

  test.each([
    ['idle', 'while idle'],
    ['query', 'while a statement was running, which may be written'],
    ['transaction', 'in a transaction, before COMMIT was sent'],
    ['commit', 'after COMMIT was sent'],
  ] as const)('the message of a loss in phase %s says: %s', (phase, words) => {
    const error = new ConnectionLostError({ cause: odd, phase, commitOutcome: 'unknown' }, true)
    expect(error.message).toBe(`Connection lost (${words}): odd`)
  })

  test('the message of a timeout begins as that of pg-pool, since users match on it', () => {
    expect(timedOut(undefined).message).toMatch(/^timeout exceeded when trying to connect/)
  })
})

describe('what became of a statement whose connection was lost', () => {
  const loss = { cause: odd, phase: 'query', commitOutcome: 'aborted' } as const

  test.each([
    ['never-ran', true, 'before the statement was executed'],
    ['rolled-back', true, 'while a statement was running, which was rolled back'],
    ['committed', true, 'while a statement was running, which is written'],
    ['unknown', true, 'while a statement was running, which may be written'],
    ['unknown', false, 'before the statement was executed'],
  ] as const)('%s (sent: %s) is told: %s', (statementOutcome, sent, words) => {
    const error = new ConnectionLostError({ ...loss, statementOutcome }, sent)
    expect(error.message).toBe(`Connection lost (${words}): odd`)
    expect(error.statementOutcome).toBe(sent ? statementOutcome : 'never-ran')
  })

  test('in a transaction it was rolled back', () => {
    expect(new ConnectionLostError({ ...loss, phase: 'transaction' }, true).statementOutcome).toBe('rolled-back')
    expect(new ConnectionLostError({ ...loss, phase: 'transaction' }, false).statementOutcome).toBe('never-ran')
  })

  test('of a COMMIT that was certainly not executed the message says so', () => {
    const error = new ConnectionLostError({ ...loss, phase: 'commit', statementOutcome: 'rolled-back' }, true)
    expect(error.message).toBe('Connection lost (after COMMIT was sent, which was not executed): odd')
  })
})
