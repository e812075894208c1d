import { describe, expect, test } from 'vitest'
import { outcomeOfLoss, phaseOfLoss } from '../../../packages/core/src/policy/loss.ts'
import { asksForCommit, onlyRollsBack } from '../../../packages/core/src/sql/statement.ts'

describe('the phase of a loss', () => {
  test.each([
    { status: 'I', underWay: [], phase: 'idle' },
    { status: null, underWay: [], phase: 'idle' },
    { status: 'T', underWay: [], phase: 'transaction' },
    { status: 'E', underWay: [], phase: 'transaction' },
    { status: 'I', underWay: ['select 1'], phase: 'query' },
    { status: 'I', underWay: ['update t set a = 1'], phase: 'query' },
    { status: 'I', underWay: ['BEGIN'], phase: 'transaction' },
    { status: 'I', underWay: ['begin isolation level serializable;'], phase: 'transaction' },
    { status: 'I', underWay: ['START TRANSACTION READ ONLY'], phase: 'transaction' },
    { status: 'I', underWay: ['begin; insert into t values (1); commit'], phase: 'query' },
    { status: 'T', underWay: ['update t set a = 1'], phase: 'transaction' },
    { status: 'T', underWay: ['COMMIT'], phase: 'commit' },
    { status: 'T', underWay: ['commit;'], phase: 'commit' },
    { status: 'T', underWay: ['END'], phase: 'commit' },
    { status: 'T', underWay: ['-- the end\ncommit'], phase: 'commit' },
    { status: 'T', underWay: ['/* pay */ COMMIT'], phase: 'commit' },
    { status: 'T', underWay: ["PREPARE TRANSACTION 'x'"], phase: 'commit' },
    { status: 'T', underWay: ['update t set a = 1; commit'], phase: 'commit' },
    { status: 'T', underWay: ['update t set a = 1', 'commit'], phase: 'commit' },
    { status: 'T', underWay: ['/* a /* b */ c */ commit'], phase: 'commit' },
    { status: 'T', underWay: ['select case when a then b else c end from t'], phase: 'transaction' },
    { status: 'T', underWay: ['insert into t values (1) on conflict do nothing'], phase: 'transaction' },
    { status: 'T', underWay: ['call pay(1)'], phase: 'transaction' },
    { status: 'T', underWay: [undefined], phase: 'commit' },
    { status: 'T', underWay: ['ROLLBACK'], phase: 'transaction' },
    { status: 'E', underWay: ['COMMIT'], phase: 'transaction' },
    { status: 'E', underWay: ['commit; insert into t values (1)'], phase: 'commit' },
    { status: 'E', underWay: ['rollback to s; insert into t values (1); commit'], phase: 'commit' },
    { status: 'E', underWay: ['rollback', 'commit'], phase: 'commit' },
    { status: 'T', underWay: ["select 'rollback'", 'select 1'], phase: 'transaction' },
    { status: 'T', underWay: ['rollback; insert into t values (1)'], phase: 'commit' },
    { status: 'T', underWay: [' rollback', 'insert into t values (1)'], phase: 'commit' },
    { status: 'T', underWay: ['rollback', 'insert into t values (1)'], phase: 'commit' },
    { status: 'T', underWay: ['select 1', 'rollback'], phase: 'transaction' },
    { status: 'I', underWay: ['begin', 'insert into t values (1)', 'commit'], phase: 'query' },
  ] as const)(
    'the phase of a loss in state $status with $underWay under way: $phase',
    ({ status, underWay, phase }) => {
      expect(phaseOfLoss(status, underWay)).toBe(phase)
    },
  )
})

test.each([
  { phase: 'idle', hasWorked: false, outcome: 'aborted' },
  { phase: 'idle', hasWorked: true, outcome: 'unknown' },
  { phase: 'transaction', hasWorked: true, outcome: 'aborted' },
  { phase: 'query', hasWorked: false, outcome: 'unknown' },
  { phase: 'commit', hasWorked: true, outcome: 'unknown' },
] as const)('the outcome of work lost in phase $phase (after others: $hasWorked) is $outcome', (row) => {
  expect(outcomeOfLoss(row.phase, row.hasWorked)).toBe(row.outcome)
})

test.each([
  { text: 'ROLLBACK', only: true },
  { text: '  rollback;  ', only: true },
  { text: 'ABORT', only: true },
  { text: 'rollback to savepoint a', only: true },
  { text: 'ROLLBACK TRANSACTION', only: true },
  { text: 'rollback; insert into t values (1)', only: false },
  { text: "ROLLBACK PREPARED 'x'", only: false },
  { text: 'rollback and chain', only: false },
  { text: 'COMMIT', only: false },
  { text: 'select 1', only: false },
  { text: undefined, only: false },
])('$text only rolls back: $only', ({ text, only }) => {
  expect(onlyRollsBack(text)).toBe(only)
})

test.each([
  { text: 'COMMIT', only: true },
  { text: '  end;', only: true },
  { text: "PREPARE TRANSACTION 'x'", only: true },
  { text: 'insert into t values (1); commit', only: true },
  { text: '-- name: done\ncommit', only: true },
  { text: '/* by */ END', only: true },
  { text: 'commit; rollback', only: false },
  { text: 'commit; begin', only: true },
  { text: 'ROLLBACK', only: false },
  { text: 'select 1', only: false },
  { text: undefined, only: false },
])('$text asks for a COMMIT, and for no ROLLBACK: $only', ({ text, only }) => {
  expect(asksForCommit(text)).toBe(only)
})
