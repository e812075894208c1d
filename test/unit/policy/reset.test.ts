import { describe, expect, test } from 'vitest'
import { resetPlan } from '../../../packages/core/src/policy/reset.ts'

test.each([
  { policy: 'rollback', status: 'I', action: 'keep' },
  { policy: 'rollback', status: 'T', action: 'ROLLBACK' },
  { policy: 'rollback', status: 'E', action: 'ROLLBACK' },
  { policy: 'rollback', status: null, action: 'retire' },
  { policy: 'commit', status: 'I', action: 'keep' },
  { policy: 'commit', status: 'T', action: 'COMMIT' },
  { policy: 'commit', status: 'E', action: 'ROLLBACK' },
  { policy: 'commit', status: null, action: 'retire' },
  { policy: 'none', status: 'I', action: 'keep' },
  { policy: 'none', status: 'T', action: 'retire' },
  { policy: 'none', status: 'E', action: 'retire' },
  { policy: 'none', status: null, action: 'retire' },
] as const)("'$policy' does with a session in state $status: $action", ({ policy, status, action }) => {
  const plan = action === 'keep' || action === 'retire' ? action : { statements: [action] }
  expect(resetPlan(policy, status, true)).toEqual(plan)
})

describe.each(['session', 'discard'] as const)("'%s'", (policy) => {
  test('the reset needs no statement if the lease sent nothing', () => {
    expect(resetPlan(policy, 'I', false)).toBe('keep')
  })

  test('the reset retires a session in an unknown state', () => {
    expect(resetPlan(policy, null, true)).toBe('retire')
  })

  test.each(['T', 'E'] as const)('the reset rolls back first if a transaction is open in state %s', (status) => {
    const plan = resetPlan(policy, status, false)
    expect(plan).toMatchObject({ statements: ['ROLLBACK', expect.stringMatching(/DISCARD/)] })
  })

  test('the reset has the hook called again, since it undoes what the hook has set', () => {
    expect(resetPlan(policy, 'I', true)).toMatchObject({ undoesHook: true })
  })
})

test("only the reset policy 'discard' drops prepared statements", () => {
  expect(resetPlan('discard', 'I', true)).toMatchObject({ statements: ['DISCARD ALL'], dropsStatements: true })
  expect(resetPlan('session', 'I', true)).not.toHaveProperty('dropsStatements')
})

test("the user's own reset function is called in every state but an unknown one, whatever the lease did", () => {
  const call = (): void => {}
  for (const status of ['I', 'T', 'E'] as const)
    expect(resetPlan(call, status, false)).toEqual({ statements: [], call })
  expect(resetPlan(call, null, false)).toBe('retire')
})
