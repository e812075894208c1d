import { describe, expect, test } from 'vitest'
import { ConnectionLostError, type Loss } from '../../../packages/core/src/errors.ts'
import { endsSession, isDisconnect, refusalOf } from '../../../packages/core/src/policy/classify-error.ts'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'

const uniqueViolation = serverError('23505', 'duplicate key value violates unique constraint')

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
