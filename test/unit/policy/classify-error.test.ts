import { describe, expect, test } from 'vitest'
import { ConnectError, ConnectionLostError, type Loss } from '../../../packages/core/src/errors.ts'
import {
  endsSession,
  isDisconnect,
  isRetryable,
  mayConnectAgain,
  refusalOf,
} from '../../../packages/core/src/policy/classify-error.ts'
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

describe('a message of the server', () => {
  test.each([
    { name: 'FATAL', message: adminShutdown(), ends: true },
    { name: 'FATAL with a code we do not know', message: serverError('XX999', 'odd', 'FATAL'), ends: true },
    { name: 'PANIC', message: serverError('XX000', 'could not write', 'PANIC'), ends: true },
    { name: 'FATAL in German', message: serverError('57P01', 'Verbindung wird abgebrochen', 'FATAL'), ends: true },
    { name: 'a translated severity with a known code', message: serverError('57P01', 'x', 'ФАТАЛЬНО'), ends: true },
    { name: 'a translated severity of a plain error', message: serverError('23505', 'x', 'FEHLER'), ends: false },
    { name: 'ERROR', message: uniqueViolation, ends: false },
    { name: "ERROR 08006, a foreign table's news", message: serverError('08006', 'could not connect'), ends: false },
    { name: 'a cancelled statement', message: serverError('57014', 'canceling statement'), ends: false },
    { name: 'a notice of the driver, without a severity', message: systemError('ECONNRESET'), ends: false },
    { name: 'nothing', message: undefined, ends: false },
    { name: 'null', message: null, ends: false },
  ])('the message $name of the server ends the session: $ends', ({ message, ends }) => {
    expect(endsSession(message)).toBe(ends)
  })
})

describe('a connect that was refused', () => {
  const ofServer = { routine: 'ProcessStartupPacket' }
  test.each([
    { name: 'by a port that is closed', error: systemError('ECONNREFUSED'), why: 'no server' },
    {
      name: 'on one address of two',
      error: new AggregateError([systemError('EADDRNOTAVAIL'), systemError('ECONNREFUSED')]),
      why: 'no server',
    },
    {
      name: 'by a missing Unix socket',
      error: Object.assign(systemError('ENOENT'), { syscall: 'connect' }),
      why: 'no server',
    },
    { name: 'by a missing file of a certificate', error: systemError('ENOENT'), why: undefined },
    {
      name: 'by a server that starts up',
      error: Object.assign(serverError('57P03', 'the database system is starting up', 'FATAL'), ofServer),
      why: 'no server',
    },
    {
      name: 'by a pooler whose server starts up',
      error: serverError('57P03', 'the database system is starting up', 'FATAL'),
      why: 'full',
    },
    {
      name: 'by a server that is full',
      error: Object.assign(serverError('53300', 'sorry, too many clients already', 'FATAL'), ofServer),
      why: 'full',
    },
    {
      name: 'by a pooler without a server',
      error: serverError('08P01', 'server login has been failing, try again later', 'FATAL'),
      why: 'full',
    },
    {
      name: 'by this package, which looks for a primary',
      error: Object.assign(new Error('standby'), { code: '57P03' }),
      why: undefined,
    },
    { name: 'by a proxy that closes the socket', error: systemError('ECONNRESET'), why: 'closed' },
    {
      name: 'by a proxy that ends the socket',
      error: new Error('Connection terminated unexpectedly'),
      why: 'closed',
    },
    { name: 'by nothing: no answer', error: systemError('ETIMEDOUT'), why: undefined },
    { name: 'for good', error: serverError('28P01', 'password', 'FATAL'), why: undefined },
    { name: 'with nothing that has a code', error: new Error('odd'), why: undefined },
  ])('a connect that was refused $name: $why', ({ error, why }) => {
    expect(refusalOf(error)).toBe(why)
  })
})

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

describe('isDisconnect', () => {
  test.each([
    { name: 'a lost connection', error: lost(), is: true },
    { name: 'a FATAL of the server', error: adminShutdown(), is: true },
    { name: 'ECONNRESET', error: systemError('ECONNRESET'), is: true },
    { name: "pg's own words for it", error: new Error('Connection terminated unexpectedly'), is: true },
    { name: 'an error caused by one', error: new Error('save failed', { cause: lost() }), is: true },
    { name: "TypeORM's wrapper around one", error: typeormError(lost()), is: true },
    {
      name: 'the same from another copy of the package',
      error: Object.assign(new Error('x'), { name: 'ConnectionLostError' }),
      is: true,
    },
    { name: 'a plain SQL error', error: uniqueViolation, is: false },
    {
      name: "a foreign table's ERROR 08006",
      error: serverError('08006', 'could not connect to server "other"'),
      is: false,
    },
    { name: 'an application error', error: new Error('no such customer'), is: false },
    { name: 'a string', error: 'Connection terminated unexpectedly', is: false },
    { name: 'nothing', error: undefined, is: false },
  ])('isDisconnect says of $name: $is', ({ error, is }) => {
    expect(isDisconnect(error)).toBe(is)
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
