import { expect, test } from 'vitest'
import { beginStatement } from '../../../packages/core/src/transaction/begin.ts'

test.each([
  [{}, 'BEGIN'],
  [{ isolationLevel: 'repeatable read' }, 'BEGIN ISOLATION LEVEL REPEATABLE READ'],
  [{ accessMode: 'read only' }, 'BEGIN READ ONLY'],
  [{ deferrable: true }, 'BEGIN DEFERRABLE'],
  [{ deferrable: false }, 'BEGIN NOT DEFERRABLE'],
  [
    { isolationLevel: 'serializable', accessMode: 'read write', deferrable: true },
    'BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE',
  ],
] as const)('%o begins with %s', (modes, statement) => {
  expect(beginStatement(modes)).toBe(statement)
})
