import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectInAnyWay } from '../../../packages/core/src/user-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'

let clock: FakeClock

beforeEach(() => {
  clock = new FakeClock()
})
afterEach(() => clock[Symbol.dispose]())

test.each([undefined, null, false, 0, ''])(
  'a `connect` that rejects with %j has failed, and not succeeded',
  async (reason) => {
    const client = { connect: () => Promise.reject(reason) }
    const known = { clock, patienceMillis: 1000, isDone: () => false, onDone: () => {} }
    await expect(connectInAnyWay(client, known)).rejects.toThrow('`Client.connect` has failed without an error')
  },
)
