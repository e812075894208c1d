import { expect, test } from 'vitest'
import { BudgetTurns } from '../../../packages/core/src/guard/budget-turns.ts'

test('a turn lasts from when others began to wait until they have what they wait for', () => {
  const turns = new BudgetTurns()
  expect([turns.extraMillis(0), turns.behindMillis(0)]).toEqual([0, 0])
  turns.note({ hasExtra: true, isBehind: false }, 100)
  turns.note({ hasExtra: true, isBehind: true }, 500)
  expect([turns.extraMillis(700), turns.behindMillis(700)]).toEqual([600, 200])
  turns.note({ hasExtra: false, isBehind: false }, 800)
  turns.note({ hasExtra: true, isBehind: true }, 900)
  expect([turns.extraMillis(1000), turns.behindMillis(1000)]).toEqual([100, 100])
})
