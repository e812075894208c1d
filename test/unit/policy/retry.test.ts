import { describe, expect, test } from 'vitest'
import { ConnectError, ConnectionLostError, type Loss } from '../../../packages/core/src/errors.ts'
import { isRetryable, mayConnectAgain } from '../../../packages/core/src/policy/retry.ts'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'

const uniqueViolation = serverError('23505', 'duplicate key value violates unique constraint')
const endpoint = { host: 'db', port: 5432, database: 'app' }

function lost(loss: Partial<Loss> = {}): ConnectionLostError {
  return new ConnectionLostError(
    { cause: systemError('ECONNRESET'), phase: 'query', commitOutcome: 'unknown', ...loss },
    true,
  )
}

/** As TypeORM wraps: the fact lies in `driverError`. */
function typeormError(driverError: Error): Error {
  return Object.assign(new Error(driverError.message), { driverError })
}

describe('a failed attempt to connect', () => {
  test.each([
    { name: 'refused', error: systemError('ECONNREFUSED'), again: true },
    {
      name: 'refused on both addresses',
      error: new AggregateError([systemError('ECONNREFUSED'), systemError('ECONNREFUSED')]),
      again: true,
    },
    {
      name: 'unroutable on one address of two',
      error: new AggregateError([systemError('EADDRNOTAVAIL'), systemError('ECONNREFUSED')]),
      again: true,
    },
    {
      name: 'hopeless on all addresses',
      error: new AggregateError([systemError('EACCES'), systemError('EACCES')]),
      again: false,
    },
    { name: 'starting up', error: serverError('57P03', 'the database system is starting up', 'FATAL'), again: true },
    { name: 'full', error: serverError('53300', 'sorry, too many clients already', 'FATAL'), again: true },
    {
      name: 'a pooler that is full',
      error: serverError('08P01', 'no more connections allowed (max_client_conn)', 'FATAL'),
      again: true,
    },
    {
      name: 'a pooler that knows no such database',
      error: serverError('08P01', 'no such database: shop', 'FATAL'),
      again: false,
    },
    { name: 'shutting down', error: adminShutdown(), again: true },
    { name: 'a session that idled in a hook', error: serverError('57P05', 'terminating', 'FATAL'), again: true },
    { name: 'no cipher in common', error: systemError('EPROTO'), again: false },
    { name: 'damaged in the TLS handshake', error: systemError('ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR'), again: true },
    { name: 'refused for its certificate', error: systemError('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), again: false },
    { name: 'missing its certificate file', error: systemError('ENOENT'), again: false },
    { name: 'missing another file', error: Object.assign(systemError('ENOENT'), { syscall: 'open' }), again: false },
    { name: 'missing a Unix socket', error: Object.assign(systemError('ENOENT'), { syscall: 'connect' }), again: true },
    {
      name: 'cut before the TLS handshake',
      error: new Error('Client network socket disconnected before secure TLS connection was established'),
      again: true,
    },
    { name: 'closed by the server', error: new Error('Connection terminated unexpectedly'), again: true },
    {
      name: 'refused in the words of a cut, but with a code',
      error: serverError('28000', 'Connection terminated unexpectedly', 'FATAL'),
      again: false,
    },
    { name: 'hiccup of the resolver', error: systemError('EAI_AGAIN'), again: true },
    { name: 'wrong password', error: serverError('28P01', 'password authentication failed', 'FATAL'), again: false },
    { name: 'unknown database', error: serverError('3D000', 'database does not exist', 'FATAL'), again: false },
    { name: 'no entry in pg_hba.conf', error: serverError('28000', 'no pg_hba.conf entry', 'FATAL'), again: false },
    { name: 'self-signed certificate', error: systemError('DEPTH_ZERO_SELF_SIGNED_CERT'), again: false },
    { name: 'certificate for another host', error: systemError('ERR_TLS_CERT_ALTNAME_INVALID'), again: false },
    { name: 'no TLS at all', error: new Error('The server does not support SSL connections'), again: false },
    { name: "a hook's own error", error: new Error('SET failed'), again: false },
    { name: 'unknown host, before any success', error: systemError('ENOTFOUND'), again: false },
  ])('an attempt to connect that failed by $name is retried: $again', ({ error, again }) => {
    expect(mayConnectAgain(error, false)).toBe(again)
  })

  test('an attempt that failed in the TLS handshake is retried if a handshake has worked before', () => {
    expect(mayConnectAgain(systemError('EPROTO'), true)).toBe(true)
  })

  test('an attempt that failed by an unknown host is retried if the name has worked before', () => {
    expect(mayConnectAgain(systemError('ENOTFOUND'), true)).toBe(true)
  })
})

describe('isRetryable', () => {
  test.each([
    { name: '40001', error: serverError('40001', 'could not serialize access'), is: true },
    { name: '40P01', error: serverError('40P01', 'deadlock detected'), is: true },
    {
      name: 'a loss before COMMIT was sent',
      error: lost({ phase: 'transaction', commitOutcome: 'aborted' }),
      is: true,
    },
    { name: 'a lost COMMIT', error: lost({ phase: 'commit' }), is: false },
    { name: 'a loss while a single statement ran', error: lost({ phase: 'query' }), is: false },
    {
      name: 'a lost COMMIT whose cause looks retryable',
      error: lost({ phase: 'commit', cause: serverError('40001', 'x') }),
      is: false,
    },
    {
      name: 'a server that was full',
      error: new ConnectError(endpoint, serverError('53300', 'full', 'FATAL')),
      is: true,
    },
    { name: '40003', error: serverError('40003', 'statement completion unknown'), is: false },
    { name: '08007', error: serverError('08007', 'transaction resolution unknown'), is: false },
    { name: 'a bare ECONNRESET', error: systemError('ECONNRESET'), is: false },
    { name: 'a bare FATAL', error: adminShutdown(), is: false },
    { name: 'a unique violation', error: uniqueViolation, is: false },
    { name: "TypeORM's wrapper around 40001", error: typeormError(serverError('40001', 'x')), is: true },
    {
      name: 'an error caused by a lost COMMIT',
      error: new Error('x', { cause: lost({ phase: 'commit' }) }),
      is: false,
    },
  ])('isRetryable says of $name: $is', ({ error, is }) => {
    expect(isRetryable(error)).toBe(is)
  })

  test('isRetryable does not follow an endless chain of causes', () => {
    const error = new Error('round and round')
    error.cause = error
    expect(isRetryable(error)).toBe(false)
  })
})
