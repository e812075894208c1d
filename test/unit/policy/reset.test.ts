import { expect, test } from 'vitest'
import { resetAction } from '../../../packages/core/src/policy/reset.ts'

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
  expect(resetAction(policy, status)).toBe(action)
})
