import { describe, expect, test } from 'vitest'
import { consequenceOf, type LossReach, reachOf } from '../../../packages/core/src/policy/reach.ts'
import { adminShutdown, serverError, systemError } from '../../support/fake-client.ts'

describe('the cause of a loss', () => {
  test.each([
    { name: 'an administrator, or a fast stop', cause: adminShutdown(), reach: 'unclear' },
    { name: 'a cut', cause: systemError('ECONNRESET'), reach: 'unclear' },
    { name: 'a socket that just closed', cause: new Error('Connection terminated unexpectedly'), reach: 'unclear' },
    {
      name: 'a damaged TLS record',
      cause: systemError('ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC'),
      reach: 'unclear',
    },
    { name: 'a crash of the server', cause: serverError('57P02', 'crash', 'WARNING'), reach: 'all' },
    {
      name: 'a server that starts up',
      cause: Object.assign(serverError('57P03', 'starting up', 'FATAL'), { routine: 'ProcessStartupPacket' }),
      reach: 'all',
    },
    { name: 'a database that is dropped', cause: serverError('57P04', 'dropped', 'FATAL'), reach: 'all' },
    { name: 'a primary that became a standby', cause: serverError('25006', 'read-only'), reach: 'all' },
    { name: 'idle_session_timeout', cause: serverError('57P05', 'idle', 'FATAL'), reach: 'own' },
    { name: 'idle_in_transaction_session_timeout', cause: serverError('25P03', 'idle', 'FATAL'), reach: 'own' },
    { name: 'transaction_timeout', cause: serverError('25P04', 'long', 'FATAL'), reach: 'own' },
    { name: 'a protocol violation', cause: serverError('08P01', 'odd', 'FATAL'), reach: 'own' },
    {
      name: 'a pooler without a server',
      cause: serverError('08P01', 'server login has been failing, try again later', 'FATAL'),
      reach: 'server-away',
    },
  ])('the reach of a loss by $name: $reach', ({ cause, reach }) => {
    expect(reachOf(cause)).toBe(reach)
  })
})

describe('what a loss means for the others', () => {
  const lost = { wasInvalid: false, wasPinged: false, isFailedSuspect: false, isOnlyOne: false }
  const all = { invalidateOnDisconnect: 'all', mayPing: true, isPooled: false } as const
  const suspect = { invalidateOnDisconnect: 'suspect', mayPing: true, isPooled: false } as const
  const one = { invalidateOnDisconnect: 'one', mayPing: true, isPooled: false } as const
  const policies = { all, suspect, one, 'suspect without pings': { ...suspect, mayPing: false } }

  test.each<{ what: string; reach: LossReach; facts?: Partial<typeof lost>; expected: string[] }>([
    { what: 'of a cause of its own', reach: 'own', expected: ['none', 'none', 'none', 'none'] },
    { what: 'of a timeout', reach: 'suspect', expected: ['suspect', 'suspect', 'suspect', 'suspect'] },
    {
      what: 'of a suspect by a timeout, which may be slow',
      reach: 'suspect',
      facts: { isFailedSuspect: true },
      expected: ['suspect', 'suspect', 'suspect', 'suspect'],
    },
    {
      what: 'of a pooler without a server',
      reach: 'server-away',
      expected: ['suspect', 'suspect', 'suspect', 'suspect'],
    },
    { what: 'in use', reach: 'unclear', expected: ['retire all', 'suspect', 'none', 'retire all'] },
    {
      what: 'in a ping',
      reach: 'unclear',
      facts: { wasPinged: true },
      expected: ['retire all', 'retire older', 'none', 'retire all'],
    },
    {
      what: 'of a suspect',
      reach: 'unclear',
      facts: { isFailedSuspect: true },
      expected: ['retire all', 'retire older', 'none', 'retire all'],
    },
    {
      what: 'of the only one',
      reach: 'unclear',
      facts: { isOnlyOne: true },
      expected: ['retire all', 'retire older', 'none', 'retire all'],
    },
    { what: 'by a restart', reach: 'all', expected: ['retire all', 'retire older', 'none', 'retire all'] },
    {
      what: 'by a ping that is late',
      reach: 'silent',
      facts: { wasPinged: true },
      expected: ['retire all', 'retire older', 'none', 'retire all'],
    },
    {
      what: 'of one that was invalidated before',
      reach: 'all',
      facts: { wasInvalid: true, wasPinged: true },
      expected: ['none', 'none', 'none', 'none'],
    },
  ])('a loss $what', ({ reach, facts, expected }) => {
    const seen = Object.values(policies).map((policy) => consequenceOf(reach, { ...lost, ...facts }, policy))
    expect(Object.fromEntries(Object.keys(policies).map((name, index) => [name, seen[index]]))).toEqual(
      Object.fromEntries(Object.keys(policies).map((name, index) => [name, expected[index]])),
    )
  })

  test('behind a pooler a ping that is late means nothing for the others, and one that fails means the same', () => {
    const pinged = { ...lost, wasPinged: true }
    for (const policy of [all, suspect]) {
      expect(consequenceOf('silent', pinged, { ...policy, isPooled: true })).toBe('none')
      expect(consequenceOf('unclear', pinged, { ...policy, isPooled: true })).toMatch(/^retire/)
    }
  })
})
