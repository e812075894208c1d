import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { runTransaction } from '../../../packages/core/src/transaction/run-transaction.ts'

const MANY = 2000

const conflict = (): Error => Object.assign(new Error('could not serialize access'), { code: '40001' })

test('a signal that many transactions share has one listener while they run and while they pause', async () => {
  const controller = new AbortController()
  const { signal } = controller
  const listeners = (): number => getEventListeners(signal, 'abort').length
  let pausing = 0
  const running = Array.from({ length: MANY }, () =>
    runTransaction(
      async (fn) => fn({}),
      async () => {
        expect(listeners()).toBe(1)
        throw conflict()
      },
      {
        signal,
        retry: { retries: 1, minTimeout: 600_000 },
        onRetry: () => {
          pausing++
        },
      },
    ).catch((error: unknown) => error),
  )
  await expect.poll(() => pausing).toBe(MANY)
  await new Promise((resolve) => setImmediate(resolve))
  expect(listeners()).toBe(1)
  controller.abort()
  for (const reason of await Promise.all(running)) expect(reason).toBe(signal.reason)
  expect(listeners()).toBe(0)
})

test('a signal has no listener after its transaction has ended', async () => {
  const { signal } = new AbortController()
  await runTransaction(
    async (fn) => fn({}),
    async () => 'done',
    { signal },
  )
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
