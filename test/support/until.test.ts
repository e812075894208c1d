import { expect, test } from 'vitest'
import { UntilTimeoutError, until } from './index.ts'

test('until() resolves with the first value that is truthy', async () => {
  const values = [0, '', undefined, 'here']
  expect(await until(() => values.shift(), { intervalMillis: 1 })).toBe('here')
})

test('until() awaits conditions that are asynchronous, and asks again when one throws', async () => {
  let asked = 0
  const answer = await until(
    async () => {
      if (++asked < 3) throw new Error('not yet')
      return asked
    },
    { intervalMillis: 1 },
  )
  expect(answer).toBe(3)
})

test('until() says what it waited for, and why the last answer was no', async () => {
  const cause = new Error('the database system is starting up')
  const failing = until(() => Promise.reject(cause), { timeoutMillis: 1, what: 'the server to be ready' })
  await expect(failing).rejects.toThrow('Waited 1 ms in vain for: the server to be ready')
  await expect(failing).rejects.toMatchObject({ code: 'UNTIL_TIMEOUT', cause })
  await expect(failing).rejects.toBeInstanceOf(UntilTimeoutError)
})

test('until() shows the condition itself when nothing better was said', async () => {
  await expect(until(() => 1 > 2, { timeoutMillis: 1 })).rejects.toThrow('() => 1 > 2')
})

test("until() gives up with the signal's reason", async () => {
  const reason = new Error('enough')
  await expect(until(() => false, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const controller = new AbortController()
  const waiting = until(() => controller.abort(reason), { signal: controller.signal, intervalMillis: 1 })
  await expect(waiting).rejects.toBe(reason)
})
