import { expect, test } from 'vitest'
import type { Row } from '../../../packages/core/src/commit/server-report.ts'
import { lookQuery, readIdentity, readLook } from '../../../packages/core/src/watch/look.ts'

const ROW: Row = {
  asked: '7',
  is_there: 'true',
  state: 'active',
  wait_event_type: 'Lock',
  wait_event: 'transactionid',
  xid: '5',
  query: 'select 1',
  query_start: '1800000000000001',
  state_change: '1800000000000002',
  backend_start: '1799999999999999',
  now: '1800000000500000',
  server_start: '1700000000000000',
  statistics_start: '1600000000000000',
  next_xid: '4294967303',
  blocked_by: '12 13',
}

test('reads what the server says of a session', () => {
  expect(readLook([ROW])).toEqual({
    now: 1_800_000_000_500_000,
    serverStart: 1_700_000_000_000_000,
    statisticsStart: 1_600_000_000_000_000,
    sessions: new Map([
      [
        7,
        {
          backendStart: 1_799_999_999_999_999,
          state: 'active',
          waitEventType: 'Lock',
          waitEvent: 'transactionid',
          queryStart: 1_800_000_000_000_001,
          stateChange: 1_800_000_000_000_002,
          transactionId: '4294967301',
          query: 'select 1',
          blockedBy: [12, 13],
        },
      ],
    ]),
  })
})

test.each([
  ['gone, where there is no such process', { is_there: 'false', state: null, backend_start: null }, 'gone'],
  ['hidden, where the role may not see it', { state: null, query: '<insufficient privilege>' }, 'hidden'],
  ['hidden, where track_activities is off', { state: 'disabled', query: '' }, 'hidden'],
])('a session is %s', (_what, changes, sight) => {
  expect(readLook([{ ...ROW, ...changes }])?.sessions.get(7)).toBe(sight)
})

test.each([
  ['of this epoch', '5', '4294967303', '4294967301'],
  ['of the epoch before', '4294967295', '4294967303', '4294967295'],
  ['that no epoch can have', '9', '5', undefined],
  ['that is no number', 'x', '5', undefined],
])('completes the id of a transaction %s', (_what, xid, next_xid, transactionId) => {
  const session = readLook([{ ...ROW, xid, next_xid }])?.sessions.get(7)
  expect(session).toMatchObject({ transactionId })
})

const NONSENSE = [undefined, null, '', 'x', '-1', '1.5', 4, {}, '99999999999999999999']

test.each(['now', 'server_start', 'statistics_start', 'state_change', 'backend_start', 'asked', 'is_there'])(
  'an answer whose %s makes no sense proves nothing',
  (column) => {
    for (const value of NONSENSE) expect(readLook([{ ...ROW, [column]: value }])).toBeUndefined()
  },
)

test('no row proves nothing', () => {
  expect(readLook([])).toBeUndefined()
  expect(readLook([ROW, {}])).toBeUndefined()
})

test('asks about each session', () => {
  expect(lookQuery([7, 8])).toContain('from (values (7), (8)) as asked(pid) left join pg_catalog.pg_stat_activity')
})

test('reads who a session is', () => {
  const row = { pid: '7', backend_start: '3', server_start: '2', now: '4' }
  expect(readIdentity([row])).toEqual({ backendPid: 7, backendStart: 3, serverStart: 2, now: 4 })
  for (const column of Object.keys(row)) expect(readIdentity([{ ...row, [column]: null }])).toBeUndefined()
  expect(readIdentity([])).toBeUndefined()
})
