import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, test, vi } from 'vitest'
import { inItsContext, inNoContext, markForAnyContext } from '../../../packages/core/src/runtime/context.ts'

const callers = new AsyncLocalStorage<string>()

test('an empty context has no store, and neither has what is started in it', async () => {
  const found = await callers.run('a caller', () =>
    inNoContext(async () => {
      const first = callers.getStore()
      await Promise.resolve()
      const later = await new Promise((resolve) => setImmediate(() => resolve(callers.getStore())))
      return [first, callers.getStore(), later]
    }),
  )
  expect(found).toEqual([undefined, undefined, undefined])
  expect(callers.run('a caller', () => inNoContext(() => callers.run('another', () => callers.getStore())))).toBe(
    'another',
  )
})

test('the empty context is empty also when a request loads the package', async () => {
  const found = await callers.run('the first request', async () => {
    vi.resetModules()
    const fresh = await import('../../../packages/core/src/runtime/context.ts')
    expect(fresh.inNoContext).not.toBe(inNoContext)
    return fresh.inNoContext(() => callers.getStore())
  })
  expect(found).toBeUndefined()
})

test('a callback runs in the context in which it was bound, with its own `this`, unless it is marked for any context', () => {
  const bound = callers.run('the giver', () =>
    inItsContext(function (this: unknown, word: string) {
      return [this, word, callers.getStore()]
    }),
  )
  expect(callers.run('another', () => bound.call('it', 'word'))).toEqual(['it', 'word', 'the giver'])
  const callback = (): string | undefined => callers.getStore()
  markForAnyContext(callback)
  expect(callers.run('the giver', () => inItsContext(callback))).toBe(callback)
})
